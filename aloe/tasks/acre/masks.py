"""The exact masks of a world's panels: which object each pixel shows, re-rendered from the scene files.

Only our own worlds have them: how the machine lies in the official pictures is not documented. The machine is not an
object here, and occludes what is behind it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aloe.data.claim import MARK
from aloe.data.fields import number, read_json, within
from aloe.data.masks import ExactMasks
from aloe.errors import InputError
from aloe.render import raycast
from aloe.tasks.acre.objects import COLORS
from aloe.tasks.acre.placing import CAMERA, Placed, solids, with_machine
from aloe.tasks.acre.scenes import Scene, parse_scene


def exist(root: Path) -> bool:
    """Whether the folder of a regime belongs to a world of our own."""
    return (root / MARK).is_file()


def exact(path: Path, frame_numbers: Sequence[int], size: int) -> ExactMasks:
    """The exact masks of some panels of a problem; an object is identified across panels by its attributes.

    Args:
      path: the problem's scene files, as `files.find_annotations` gives them.
      frame_numbers: the panels.
      size: number of rows and of columns; the whole view is squeezed into them, just as the pictures are.

    Raises:
      InputError: a scene file is missing or broken, or two of its objects look alike.
    """
    panels = [_read(path.with_name(path.name % number)) for number in frame_numbers]
    looks = list(dict.fromkeys(each for scene, _ in panels for each in scene.objects))
    object_FxYxX = np.empty((len(panels), size, size), np.int8)
    for (scene, yaw_O), object_YxX in zip(panels, object_FxYxX, strict=True):
        numbers = range(len(scene.objects))
        placed = Placed(tuple(numbers), np.ones((1, len(numbers)), bool), scene.location_Ox3[None], yaw_O[None])
        shown = with_machine(solids(placed, scene.objects), (scene.light,))
        seen_YxX = np.asarray(raycast.visible(shown, CAMERA.resized(size, size)))[0]
        number_O = np.array([looks.index(each) for each in scene.objects], np.int8)
        # Where no object is seen, index −1 picks the last entry, which is −1.
        object_YxX[:] = np.append(number_O, [-1] * (len(shown.shape_O) - len(numbers) + 1))[seen_YxX]
    return ExactMasks(object_FxYxX, np.array([COLORS.index(each.color) for each in looks], np.int8))


def _read(path: Path) -> tuple[Scene, np.ndarray]:
    """What a panel shows, and the rotations of its objects about the vertical axis, yaw_O in radians."""
    record = read_json(path)
    with within(path):
        scene = parse_scene(record)
        if len(set(scene.objects)) < len(scene.objects):
            raise InputError("field 'objects' has two that look alike; in a problem no two objects do: make it anew")
        degrees = []
        for index, each in enumerate(record["objects"]):
            with within(f"object {index}"):
                degrees.append(number(each, "rotation"))
    return scene, np.radians(degrees)
