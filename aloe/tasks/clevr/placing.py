"""Positions of an image's objects and of its camera, drawn at random as the dataset's generator does."""

import numpy as np

from aloe.render import raycast
from aloe.render.camera import Camera, looking_at
from aloe.render.palette import RGB, SOLID
from aloe.tasks.clevr.scenes import Attributes
from aloe.tasks.clevr.vocabulary import ATTRIBUTES

WIDTH, HEIGHT = 480, 320
LEAST, MOST = 3, 10  # objects per image
REACH = 3.0  # objects lie between −3 and 3 along x and y
RADIUS = {"small": 0.35, "large": 0.7}
GAP = 0.25  # minimum, between two objects
MARGIN = 0.4  # minimum distance of two objects along left–right, and along front–behind
VISIBLE = 200  # minimum number of pixels, of 320 × 240, that show an object
JITTER = 0.5  # of the camera, either way along each axis
TRIES = 50  # to find a position for one object

_POSITION, _TARGET = np.array([7.48, -6.51, 5.34]), np.array([0.0, 0.0, 0.3])
_FOCAL = 1.09  # in picture widths
_LOOKED_AT = 160, 120  # coarse picture size, to check whether objects hide each other


def view(position_3: np.ndarray, width: int, height: int) -> Camera:
    """The camera at a position, its picture squeezed to this size."""
    return looking_at(_TARGET, position_3, _FOCAL * WIDTH, WIDTH, HEIGHT).resized(width, height)


def draw_camera(rng: np.random.Generator) -> np.ndarray:
    """The camera's position, position_3, drawn at random."""
    return _POSITION + rng.uniform(-JITTER, JITTER, 3)


def directions(position_3: np.ndarray) -> dict[str, np.ndarray]:
    """Unit vectors by name, along the ground and up and down, as seen by a camera at this position."""
    right_3 = view(position_3, WIDTH, HEIGHT).axes_3x3[0]
    up_3 = np.array([0.0, 0.0, 1.0])
    behind_3 = np.cross(up_3, right_3)
    return {
        "left": -right_3,
        "right": right_3,
        "front": -behind_3,
        "behind": behind_3,
        "above": up_3,
        "below": -up_3,
    }


def draw_objects(number: int, rng: np.random.Generator) -> tuple[Attributes, ...]:
    return tuple(Attributes(*(str(rng.choice(values)) for values in ATTRIBUTES.values())) for _ in range(number))


def place(objects: tuple[Attributes, ...], position_3: np.ndarray, rng: np.random.Generator) -> raycast.Solids:
    """Redraws positions until objects keep their distance, all relations are clear, and each object is visible."""
    towards_2x2 = np.stack([directions(position_3)[name][:2] for name in ("right", "front")])
    least = VISIBLE * _LOOKED_AT[0] * _LOOKED_AT[1] / (320 * 240)
    while True:
        location_Ox2 = _apart(objects, towards_2x2, rng)
        if location_Ox2 is None:
            continue
        placed = solids(objects, location_Ox2, rng.uniform(0, 2 * np.pi, len(objects)))
        index_YxX = np.asarray(raycast.visible(placed, view(position_3, *_LOOKED_AT)))[0]
        if np.bincount(index_YxX[index_YxX >= 0], minlength=len(objects)).min() >= least:
            return placed


def solids(objects: tuple[Attributes, ...], location_Ox2: np.ndarray, yaw_O: np.ndarray) -> raycast.Solids:
    """Objects standing on the ground, for the ray-caster."""
    half_size_Ox3 = np.array([[half_size(each)] * 3 for each in objects])
    return raycast.Solids(
        shape_O=np.array([SOLID[each.shape] for each in objects]),
        half_size_Ox3=half_size_Ox3,
        color_Ox3=np.array([RGB[each.color] for each in objects]),
        metal_O=np.array([float(each.material == "metal") for each in objects]),
        location_FxOx3=np.concatenate([location_Ox2, half_size_Ox3[:, 2:]], axis=1)[None],
        yaw_FxO=yaw_O[None],
    )


def half_size(one: Attributes) -> float:
    """Half the extent along the object's own axes, in world units; a cube's corners reach as far as a cylinder."""
    return RADIUS[one.size] / (np.sqrt(2) if one.shape == "cube" else 1.0)


def related(location_Ox3: np.ndarray, towards: dict[str, np.ndarray], relation: str) -> list[list[int]]:
    """For each object, the objects in this relation to it."""
    along_O = location_Ox3 @ towards[relation]
    return [np.flatnonzero(along_O > along + MARGIN / 2).tolist() for along in along_O]


def _apart(objects: tuple[Attributes, ...], towards_2x2: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Positions on the ground, location_Ox2, or None if none were found."""
    found: list[np.ndarray] = []
    for number, one in enumerate(objects):
        radius = RADIUS[one.size]
        least_O = np.array([RADIUS[other.size] + radius + GAP for other in objects[:number]])
        for _ in range(TRIES):
            location_2 = rng.uniform(-REACH, REACH, 2)
            away_Ox2 = location_2 - np.array(found).reshape(-1, 2)
            if (np.linalg.norm(away_Ox2, axis=1) >= least_O).all() and (abs(away_Ox2 @ towards_2x2.T) >= MARGIN).all():
                found.append(location_2)
                break
        else:
            return None
    return np.array(found)
