"""CATER's metrics by camera, and the table that shows them next to those of the controls.

Top-1 and top-5 in percent of the videos, and L1, the distance in grid cells from the most likely cell to the right one:
columns apart plus rows apart (baselines/video-nonlocal-net of the dataset's authors).
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from tabulate import tabulate

from aloe.analysis.margin import margin
from aloe.tasks.cater import grid
from aloe.tasks.cater.controls import KINDS
from aloe.tasks.cater.files import Video

TOP = 5


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """The results of V videos: all arrays have one entry per video.

    Attributes:
      video_V: scene indices.
      right_V: bool, whether the most likely cell is the right one.
      among_V: bool, whether the right one is among the five most likely.
      distance_V: in cells, from the most likely cell to the right one.
    """

    video_V: np.ndarray
    right_V: np.ndarray
    among_V: np.ndarray
    distance_V: np.ndarray

    def where(self, chosen_V: np.ndarray) -> "Outcomes":
        """The results of the chosen videos only."""
        return Outcomes(*(getattr(self, field.name)[chosen_V] for field in dataclasses.fields(self)))


def outcomes(videos: Sequence[Video], score_VxA: np.ndarray) -> Outcomes:
    """Compares scores of the cells with the right cells; of equal scores, the lower-numbered cell ranks first."""
    label_V = np.array([video.label for video in videos])
    likely_VxA = np.argsort(-np.asarray(score_VxA, float), axis=1, kind="stable")
    return Outcomes(
        np.array([video.scene_index for video in videos]),
        likely_VxA[:, 0] == label_V,
        (likely_VxA[:, :TOP] == label_V[:, None]).any(axis=1),
        grid.distances()[likely_VxA[:, 0], label_V],
    )


def percentages(results: Mapping[str, Outcomes]) -> dict[str, float]:
    """Per camera, top-1 as `static` and top-5 as `static_top5`."""
    shares: dict[str, float] = {}
    for camera, of_camera in results.items():
        shares |= {camera: of_camera.right_V.mean(), f"{camera}_top{TOP}": of_camera.among_V.mean()}
    return {name: 100 * float(share) for name, share in shares.items()}


def distances(results: Mapping[str, Outcomes]) -> dict[str, float]:
    """Per camera, the mean distance in cells, as `static_l1`."""
    return {f"{camera}_l1": float(of_camera.distance_V.mean()) for camera, of_camera in results.items()}


def table(columns: Mapping[str, Mapping[str, Outcomes]], kinds: Mapping[str, np.ndarray] | None = None) -> str:
    """The metrics of the model and its controls, and by how many points of top-1 the model beats each control.

    Args:
      columns: "model" first, then the controls by name; each by camera, all for the same videos.
      kinds: by camera, the kind of each video; each kind gets rows of its own.
    """
    model = columns["model"]
    chosen = {camera: {camera: np.ones(len(model[camera].video_V), bool)} for camera in model}
    for camera, kind_V in (kinds or {}).items():
        chosen[camera] |= {f"- {kind}": kind_V == kind for kind in KINDS if (kind_V == kind).any()}
    rows, beaten = [], []
    for camera, parts in chosen.items():
        for name, chosen_V in parts.items():
            told = {column: of_column[camera].where(chosen_V) for column, of_column in columns.items()}
            for metric, of_part in METRICS.items():
                label = [name, int(chosen_V.sum())] if metric == next(iter(METRICS)) else ["", None]
                rows.append([*label, metric, *(of_part(each) for each in told.values())])
            gained = [
                margin(told["model"].right_V.astype(float) - each.right_V, each.video_V)
                for column, each in told.items()
                if column != "model"
            ]
            beaten.append([name, *gained])
    others = [column for column in columns if column != "model"]
    return (
        f"{tabulate(rows, ['', 'videos', '', *columns], floatfmt=('', '', '', *('.2f',) * len(columns)))}\n\n"
        f"{tabulate(beaten, ['Model minus', *others], disable_numparse=True)}\n"
        "(points of top-1; in brackets a 95 % interval over videos)"
    )


METRICS = {
    "top-1, %": lambda results: 100 * results.right_V.mean(),
    f"top-{TOP}, %": lambda results: 100 * results.among_V.mean(),
    "L1, cells": lambda results: results.distance_V.mean(),
}
