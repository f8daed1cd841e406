"""The exact masks of a world's images: which object each pixel shows, rendered again from the world's files.

Only worlds of our own have them: official scene files do not give the camera's position.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aloe.data.claim import MARK
from aloe.data.fields import number, read_json, vector, within
from aloe.data.masks import ExactMasks
from aloe.errors import InputError
from aloe.render import raycast
from aloe.tasks.clevr import files, placing
from aloe.tasks.clevr.scenes import parse_scene
from aloe.tasks.clevr.vocabulary import ATTRIBUTES


def exist(root: Path) -> bool:
    """Whether the data folder is a world of our own."""
    return (root / MARK).is_file()


def exact(path: Path, frame_numbers: Sequence[int], size: int) -> ExactMasks:
    """The exact masks of an image, in the form of those of a one-frame video.

    Args:
      path: the scene's file.
      frame_numbers: 0 and no other.
      size: number of rows and of columns; the whole picture is squeezed to this size, as the images are.

    Raises:
      InputError: the file is broken, or is not from a world of our own.
    """
    record = read_json(path)
    with within(path):
        scene = parse_scene(record)
        position_3 = np.array(vector(record, "camera"), np.float64)
        degrees_O = np.array([number(each, "rotation") for each in record["objects"]])
    solids = placing.solids(scene.objects, scene.location_Ox3[:, :2], np.radians(degrees_O))
    seen_FxYxX = np.asarray(raycast.visible(solids, placing.view(position_3, size, size)), np.int8)
    return ExactMasks(
        object_FxYxX=seen_FxYxX[list(frame_numbers)],
        color_O=np.array([ATTRIBUTES["color"].index(each.color) for each in scene.objects], np.int8),
    )


def find(root: Path) -> dict[int, Path]:
    """Scene index → the file to pass to `by_slot`.

    Raises:
      InputError: the folder is not a world of our own.
    """
    if not exist(root):
        raise InputError(f"{root}: exact masks are of worlds of our own, made by launch/make_world.py; take others.")
    return files.find_annotations(root)


def by_slot(path: Path, frame_numbers: Sequence[int], size: int, slots: int) -> np.ndarray:
    """masks_FxNxYxX (bool): object n in slot n, further objects dropped. Arguments and errors as for `exact`."""
    return exact(path, frame_numbers, size).by_slot(slots)
