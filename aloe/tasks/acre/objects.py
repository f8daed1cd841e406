"""What the object ids of a config mean: shape, colour and material, by regime and split.

Ids are names within one problem; in Comp the same id is a different object in train than in validation and test.
"""

import itertools
from typing import NamedTuple

SHAPES = ("cube", "cylinder", "sphere")
COLORS = ("gray", "red", "blue", "green", "brown", "purple", "cyan", "yellow")
MATERIALS = ("rubber", "metal")
REGIMES = ("IID", "Comp", "Sys")

# Comp's training split has cubes in the first colours and cylinders in the second, the other splits the reverse.
_ONE_HALF = ("gray", "blue", "brown", "yellow")
_OTHER_HALF = ("red", "green", "purple", "cyan")


class Attributes(NamedTuple):
    shape: str
    color: str
    material: str


def attributes(regime: str, split: str) -> tuple[Attributes, ...]:
    """The object of each id: 48 in IID and Sys, 24 in Comp.

    Ids enumerate shapes, colours and materials, with materials varying fastest.

    Args:
      regime: one of REGIMES.
      split: "train", "validation" or "test".
    """
    if regime != "Comp":
        return tuple(itertools.starmap(Attributes, itertools.product(SHAPES, COLORS, MATERIALS)))
    cubes, cylinders = (_ONE_HALF, _OTHER_HALF) if split == "train" else (_OTHER_HALF, _ONE_HALF)
    spheres = ("rubber",) if split == "train" else ("metal",)
    return tuple(
        Attributes(shape, color, material)
        for shape, colors, materials in (
            ("cube", cubes, MATERIALS),
            ("cylinder", cylinders, MATERIALS),
            ("sphere", COLORS, spheres),
        )
        for color in COLORS
        if color in colors
        for material in materials
    )
