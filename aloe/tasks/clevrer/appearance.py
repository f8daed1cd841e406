"""How the objects of a CLEVRER scene look: sizes, colours, the camera, and which of them are in the picture."""

import functools
import math

import numpy as np

from aloe.render import raycast
from aloe.render.palette import RGB, SOLID
from aloe.tasks.clevrer.view import clevrer_camera

VIEW = clevrer_camera()
_SIDES_4x3 = VIEW.sides()
RADIUS = 0.2  # of the disc that represents an object in collisions
FARTHEST = -3.0  # x beyond which objects look too small; the top edge of the picture is at −5.6

# A cube's side is a compromise: its collision disc is between the inscribed and circumscribed circles of its square.
HALF_SIZE = {"cube": (0.16, 0.16, 0.16), "sphere": (0.2, 0.2, 0.2), "cylinder": (0.2, 0.2, 0.2)}
REACH = 0.3  # every point of an object's hull is closer than this to its centre


def centered(location: np.ndarray, margin: float = 0) -> np.ndarray:
    """Whether centres [..., 2] are `margin` pixels inside the picture, and not so far away that objects look small."""
    height = np.full((*location.shape[:-1], 1), RADIUS)
    pixels, depth = VIEW.project(np.concatenate([location, height], -1))
    inside = (pixels > margin) & (pixels < np.array([VIEW.width, VIEW.height]) - margin)
    return inside.all(-1) & (depth > 0) & (location[..., 0] > FARTHEST)


def in_view(location_FxOx2: np.ndarray, attributes: tuple[tuple[str, str, str], ...]) -> np.ndarray:
    """Whether some part of an object may be in the picture: visible_FxO. Judged by close-fitting hulls."""
    height_O = np.array([HALF_SIZE[shape][2] for _, _, shape in attributes])
    location_FxOx3 = np.append(
        location_FxOx2, np.broadcast_to(height_O[:, None], (*location_FxOx2.shape[:2], 1)), axis=-1
    )
    pixels, depth = VIEW.project(location_FxOx3)
    size_2 = (VIEW.width, VIEW.height)
    visible_FxO = ((pixels > 0) & (pixels < size_2)).all(-1) & (depth > 0)
    # Few of the others need their hulls tested: most are too far outside the picture.
    near_FxO = ((location_FxOx3 - VIEW.position_3) @ _SIDES_4x3.T < REACH).all(-1)
    unsure_FxO = ~visible_FxO & (depth > 0.5) & near_FxO
    for index, (_, _, shape) in enumerate(attributes):
        unsure_F = unsure_FxO[:, index]
        hull_pixels, _ = VIEW.project(location_FxOx3[unsure_F, index, None] + _hull(shape))
        inside_F = (hull_pixels.max(1) > 0) & (hull_pixels.min(1) < size_2)
        visible_FxO[unsure_F, index] = inside_F.all(-1)
    return visible_FxO


@functools.cache
def _hull(shape: str) -> np.ndarray:
    """Points around an object's centre whose convex hull contains the object at any yaw."""
    sides = 16
    angle = np.arange(sides) * 2 * np.pi / sides
    around = np.stack([np.cos(angle), np.sin(angle)], -1) / np.cos(np.pi / sides)
    half_x, half_y, half_z = HALF_SIZE[shape]
    if shape == "sphere":
        tilt = (np.arange(8) + 0.5) * np.pi / 8 - np.pi / 2
        rings = [np.column_stack([around * np.cos(t), np.full(sides, np.sin(t))]) for t in tilt]
        return half_x * np.concatenate(rings) / np.cos(np.pi / 16)
    radius = half_x if shape == "cylinder" else math.hypot(half_x, half_y)
    return np.concatenate([np.column_stack([radius * around, np.full(sides, z)]) for z in (-half_z, half_z)])


def solids(
    attributes: tuple[tuple[str, str, str], ...], location_FxOx2: np.ndarray, yaw_FxO: np.ndarray
) -> raycast.Solids:
    """Builds the ray-caster's solids for objects of these (color, material, shape)."""
    half_size_Ox3 = np.array([HALF_SIZE[shape] for _, _, shape in attributes])
    height_FxOx1 = np.broadcast_to(half_size_Ox3[:, 2:], (*location_FxOx2.shape[:2], 1))
    return raycast.Solids(
        shape_O=np.array([SOLID[shape] for _, _, shape in attributes]),
        half_size_Ox3=half_size_Ox3,
        color_Ox3=np.array([RGB[color] for color, _, _ in attributes]),
        metal_O=np.array([float(material == "metal") for _, material, _ in attributes]),
        location_FxOx3=np.concatenate([location_FxOx2, height_FxOx1], -1),
        yaw_FxO=yaw_FxO,
    )
