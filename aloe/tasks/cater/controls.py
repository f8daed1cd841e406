"""Predictions without a model, as scores of every cell, score_VxA: how far one gets without object permanence.

* majority: how common each cell is among the training videos of the camera.
* last seen: the cell in which the snitch was last not under a cone, then the cells around it. Right for every video
  that shows the snitch at the end, so what matters is how many of the others a model gets right.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aloe.data.parallel import ordered_map
from aloe.errors import InputError
from aloe.tasks.cater import files, grid
from aloe.tasks.cater.annotations import covered, last_seen, read_annotation
from aloe.tasks.cater.files import Video

SEEN, STAYED, CARRIED = "seen at the end", "hidden, where last seen", "hidden, carried elsewhere"
KINDS = (SEEN, STAYED, CARRIED)


class Ending(NamedTuple):
    """The fate of the snitch in a video: one of KINDS, and the cell in which it was last seen."""

    kind: str
    last_seen: int


def majority(train: Sequence[Video], videos: Sequence[Video]) -> np.ndarray:
    """score_VxA, the same for all videos."""
    return np.tile(np.bincount([video.label for video in train], minlength=grid.CELLS), (len(videos), 1))


def last_seen_cell(endings: Sequence[Ending]) -> np.ndarray:
    """score_VxA: the negative distance from the cell in which the snitch was last seen."""
    return -grid.distances()[[ending.last_seen for ending in endings]]


def read_endings(root: Path, videos: Sequence[Video]) -> dict[int, Ending]:
    """Scene index → how the video ends, from its scene file.

    Raises:
      InputError: a scene file is missing or broken.
    """
    paths = files.find_annotations(root)
    absent = [video.scene_index for video in videos if video.scene_index not in paths]
    if absent:
        name = files.video_name(absent[0]).replace(".avi", ".json")
        raise InputError(
            f"{root}: no scenes/{name} of the {files.camera_of(absent[0])} camera, and {len(absent) - 1} more are "
            "missing; unpack scenes.zip anew."
        )
    endings = ordered_map(_ending, [paths[video.scene_index] for video in videos])
    return {video.scene_index: ending for video, ending in zip(videos, endings, strict=True)}


def _ending(path: Path) -> Ending:
    annotation = read_annotation(path)
    cell = int(grid.cell(annotation.location_FxOx3[last_seen(annotation), annotation.snitch]))
    if not covered(annotation)[-1, annotation.snitch]:
        return Ending(SEEN, cell)
    return Ending(STAYED if cell == annotation.label else CARRIED, cell)
