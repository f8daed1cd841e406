"""What a panel shows, according to the official scene files."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aloe.data.fields import field, one_of, read_json, vector, within
from aloe.tasks.acre.objects import COLORS, MATERIALS, SHAPES, Attributes

LIGHTS = ("on", "off", "no")  # the machine lit, unlit, or absent


@dataclasses.dataclass(frozen=True)
class Scene:
    """One panel.

    Attributes:
      light: one of LIGHTS.
      objects: attributes of each object.
      location_Ox3: centres in world units.
    """

    light: str
    objects: tuple[Attributes, ...]
    location_Ox3: np.ndarray


def parse_scene(record: Any) -> Scene:
    """Reads one panel.

    Raises:
      InputError: a field is missing or wrong; the message names the object and the field.
    """
    light = one_of(record, "light_state", LIGHTS)
    objects, locations = [], []
    for number, each in enumerate(field(record, "objects", list)):
        with within(f"object {number}"):
            named = (one_of(each, "shape", SHAPES), one_of(each, "color", COLORS), one_of(each, "material", MATERIALS))
            objects.append(Attributes(*named))
            locations.append(vector(each, "3d_coords"))
    return Scene(light, tuple(objects), np.array(locations, np.float64).reshape(-1, 3))


def read_scene(path: Path) -> Scene:
    """Reads the file of one panel. Raises the errors of `parse_scene`, naming the file."""
    record = read_json(path)
    with within(path):
        return parse_scene(record)


def read_panels(paths: Sequence[Path]) -> list[Scene]:
    """Reads the files of some panels. Raises the errors of `read_scene`."""
    return [read_scene(path) for path in paths]
