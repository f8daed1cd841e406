"""The exact masks of a world's frames: which object each pixel shows, re-rendered from the world's annotations.

Only worlds of our own have them: for the official videos, the exact shapes in the picture are unknown.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aloe.data.claim import MARK
from aloe.data.fields import field, read_json, within
from aloe.data.masks import ExactMasks
from aloe.errors import InputError
from aloe.render import raycast
from aloe.tasks.clevrer import appearance, files
from aloe.tasks.clevrer.annotations import COLORS, Annotation, parse_annotation
from aloe.tasks.clevrer.view import clevrer_camera


def exist(root: Path) -> bool:
    """Whether the data folder is a world of our own."""
    return (root / MARK).is_file()


def exact(path: Path, frame_numbers: Sequence[int], size: int) -> ExactMasks:
    """The exact masks of some frames of a video.

    Args:
      path: the video's annotation file.
      frame_numbers: which frames.
      size: rows and columns; the whole picture is squeezed to fit, as the frames are.

    Raises:
      InputError: the annotation is broken.
    """
    record = read_json(path)
    with within(path):
        annotation = parse_annotation(record)
        yaw_FxO = _yaw(record, annotation)
    attributes = tuple((each.color, each.material, each.shape) for each in annotation.objects)
    frames_F = np.array(frame_numbers)
    solids = appearance.solids(attributes, annotation.location_FxOx3[frames_F, :, :2], yaw_FxO[frames_F])
    return ExactMasks(
        object_FxYxX=np.asarray(raycast.visible(solids, clevrer_camera(size, size)), np.int8),
        color_O=np.array([COLORS.index(color) for color, _, _ in attributes], np.int8),
    )


def find(root: Path) -> dict[int, Path]:
    """Scene index → the file that `by_slot` takes.

    Raises:
      InputError: the folder is not a world of our own.
    """
    if not exist(root):
        raise InputError(f"{root}: exact masks are of worlds of our own, made by launch/make_world.py; take others.")
    return files.find_annotations(root)


def by_slot(path: Path, frame_numbers: Sequence[int], size: int, slots: int) -> np.ndarray:
    """masks_FxNxYxX (bool): object n in slot n, further objects dropped. Same arguments and errors as `exact`."""
    return exact(path, frame_numbers, size).by_slot(slots)


def _yaw(record: Any, annotation: Annotation) -> np.ndarray:
    """Rotations about the vertical axis, yaw_FxO in radians, which only rendering needs."""
    ids = [each.object_id for each in annotation.objects]
    yaw = []
    for number, entry in enumerate(record["motion_trajectory"]):
        with within(f"motion_trajectory, frame {number}"):
            turned = {state["object_id"]: field(state, "orientation", list)[2] for state in entry["objects"]}
            yaw.append([turned[index] for index in ids])
    return np.array(yaw, np.float32)
