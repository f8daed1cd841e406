"""The exact masks of a world's frames: which object each pixel shows, re-rendered from the world's scene files.

Only our own worlds have them: official scene files give neither objects' rotations nor a moving camera's positions.
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
from aloe.tasks.cater import files, pictures
from aloe.tasks.cater.annotations import COLORS, parse_annotation


def exist(root: Path) -> bool:
    """Whether the data folder is a world of our own."""
    return any((folder.parent / MARK).is_file() for folder in files.camera_folders(root).values())


def exact(path: Path, frame_numbers: Sequence[int], size: int) -> ExactMasks:
    """The exact masks of some frames of a video.

    Args:
      path: the video's scene file.
      frame_numbers: the frames.
      size: number of rows and of columns; the whole view is squeezed into them, just as the frames are.

    Raises:
      InputError: the scene file is broken, or not from a world of our own.
    """
    record = read_json(path)
    with within(path):
        annotation = parse_annotation(record)
        frames = len(annotation.location_FxOx3)
        turns = []
        for number, each in enumerate(record["objects"]):
            with within(f"object {number}"):
                turns.append(_numbers(each, "turns", (frames,)))
        camera_Fx3 = _numbers(record, "camera", (frames, 3)) if "camera" in record else None
    frames_F = np.array(frame_numbers)
    scene = pictures.solids(annotation.objects, annotation.location_FxOx3[frames_F], np.stack(turns, 1)[frames_F])
    views = pictures.views(None if camera_Fx3 is None else camera_Fx3[frames_F], size, size)
    return ExactMasks(
        object_FxYxX=np.asarray(raycast.visible(scene, views), np.int8),
        color_O=np.array([COLORS.index(each.color) for each in annotation.objects], np.int8),
    )


def find(root: Path) -> dict[int, Path]:
    """Scene index → the scene file, as input to `by_slot`.

    Raises:
      InputError: the folder is not a world of our own.
    """
    if not exist(root):
        raise InputError(f"{root}: exact masks are of worlds of our own, made by launch/make_world.py; take others.")
    return files.find_annotations(root)


def by_slot(path: Path, frame_numbers: Sequence[int], size: int, slots: int) -> np.ndarray:
    """masks_FxNxYxX (bool), object n in slot n; further objects get no mask. Arguments and errors as in `exact`."""
    return exact(path, frame_numbers, size).by_slot(slots)


def _numbers(record: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
    told = field(record, name, list)
    try:
        numbers = np.array(told)
    except ValueError:
        numbers = np.empty(0)
    if numbers.shape != shape or numbers.dtype.kind not in "if" or not np.isfinite(numbers).all():
        raise InputError(f"field {name!r} must have numbers for all {shape[0]} frames; make the world anew")
    return numbers
