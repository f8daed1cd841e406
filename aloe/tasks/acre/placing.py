"""Where the objects of each panel stand, and the camera that sees them.

The camera is CLEVR's base camera without its jitter. The dataset's description does not say how the machine lies in the
official pictures; ours is a flat box that the objects stand on. Queries show them on the ground, without the machine.
"""

import itertools
from typing import NamedTuple

import numpy as np

from aloe.render import camera, raycast
from aloe.render.palette import RGB, SOLID
from aloe.tasks.acre.objects import Attributes
from aloe.tasks.acre.problems import CONTEXT, PANELS, Problem

REACH = 2.3  # objects stand between −2.3 and 2.3 along x and y
SIZE = 0.6  # radius of spheres and cylinders; a cube's half side is this / √2
GAP = 0.25  # minimum gap between two objects
VISIBLE = 200  # minimum number of pixels, of 320 × 240, that show an object

MACHINE_HALF_SIZE = (3.0, 3.0, 0.15)
MACHINE_RGB = {"on": (1.0, 0.72, 0.86), "off": (0.55, 0.30, 0.42)}
CAMERA = camera.looking_at(
    target=np.array([0.0, 0.0, 0.3]), position=np.array([7.48, -6.51, 5.34]), focal=350.0, width=320, height=240
)
_AWAY = (60.0, -60.0, 0.0)  # behind the camera, where nothing is drawn
_LOOKED_AT = CAMERA.resized(160, 120)  # coarse, to check whether objects hide each other


class Placed(NamedTuple):
    """The panels of a problem, in terms of its O different objects, each present in a panel or not.

    Attributes:
      ids: ids of the objects.
      present_FxO: which objects each panel has.
      location_FxOx3: their centres.
      yaw_FxO: their rotations about z, in radians.
    """

    ids: tuple[int, ...]
    present_FxO: np.ndarray
    location_FxOx3: np.ndarray
    yaw_FxO: np.ndarray


def place(problem: Problem, attributes: tuple[Attributes, ...], rng: np.random.Generator) -> Placed:
    """Draws positions for each panel until its objects keep their distance and none hides another too much."""
    ids = tuple(sorted({each for objects in problem.panels for each in objects}))
    present_FxO = np.array([[each in objects for each in ids] for objects in problem.panels])
    location_FxOx3 = np.full((PANELS, len(ids), 3), _AWAY)
    yaw_FxO = rng.uniform(0, 2 * np.pi, (PANELS, len(ids)))
    height_O = np.array([half_size(attributes[each].shape)[2] for each in ids])
    anew = list(range(PANELS))
    while anew:
        for panel in anew:
            there = present_FxO[panel]
            ground = 2 * MACHINE_HALF_SIZE[2] if panel < CONTEXT else 0.0
            location_FxOx3[panel, there, :2] = apart(int(there.sum()), rng)
            location_FxOx3[panel, there, 2] = ground + height_O[there]
        placed = Placed(ids, present_FxO, location_FxOx3, yaw_FxO)
        index_FxYxX = np.asarray(raycast.visible(solids(placed, attributes), _LOOKED_AT))
        shown_FxO = (index_FxYxX[..., None] == np.arange(len(ids))).sum((1, 2))
        least = VISIBLE * (_LOOKED_AT.width / CAMERA.width) ** 2
        anew = np.flatnonzero((present_FxO & (shown_FxO < least)).any(1)).tolist()
    return placed


def apart(objects: int, rng: np.random.Generator) -> np.ndarray:
    """Random positions [objects, 2] on the ground that keep their distance."""
    while True:
        location_Ox2 = rng.uniform(-REACH, REACH, (objects, 2))
        pairs = itertools.combinations(location_Ox2, 2)
        if all(np.linalg.norm(one - other) >= 2 * SIZE + GAP for one, other in pairs):
            return location_Ox2


def half_size(shape: str) -> tuple[float, float, float]:
    """Half the extent along the object's own axes, in world units."""
    half = SIZE / np.sqrt(2) if shape == "cube" else SIZE
    return half, half, half


def solids(placed: Placed, attributes: tuple[Attributes, ...]) -> raycast.Solids:
    """The objects as input to the ray-caster, in the order of `placed.ids`."""
    named = [attributes[each] for each in placed.ids]
    return raycast.Solids(
        shape_O=np.array([SOLID[each.shape] for each in named]),
        half_size_Ox3=np.array([half_size(each.shape) for each in named]),
        color_Ox3=np.array([RGB[each.color] for each in named]),
        metal_O=np.array([float(each.material == "metal") for each in named]),
        location_FxOx3=placed.location_FxOx3,
        yaw_FxO=placed.yaw_FxO,
    )


def with_machine(objects: raycast.Solids, lights: tuple[str, ...]) -> raycast.Solids:
    """Appends the lit and the unlit machine to the objects; a panel shows the one that `lights` says, or neither."""
    machines = list(MACHINE_RGB)
    center = (0.0, 0.0, MACHINE_HALF_SIZE[2])
    location_FxMx3 = np.array([[center if light == each else _AWAY for each in machines] for light in lights])
    return raycast.Solids(
        shape_O=np.append(objects.shape_O, [raycast.BOX] * len(machines)),
        half_size_Ox3=np.append(objects.half_size_Ox3, [MACHINE_HALF_SIZE] * len(machines), 0),
        color_Ox3=np.append(objects.color_Ox3, list(MACHINE_RGB.values()), 0),
        metal_O=np.append(objects.metal_O, [0.0] * len(machines)),
        location_FxOx3=np.append(objects.location_FxOx3, location_FxMx3, 1),
        yaw_FxO=np.append(objects.yaw_FxO, np.zeros((len(lights), len(machines))), 1),
    )
