"""Writes a CATER world of our own: files of both cameras in the official layout, generated from a seed.

    OUT/all_actions/videos/CATER_new_000000.avi     301 frames, 24 per second
    OUT/all_actions/scenes/CATER_new_000000.json
    OUT/all_actions/lists/localize/{train,val,train_subsetT,train_subsetV}.txt
    OUT/all_actions_cameramotion/…                  the same from the moving camera, other videos
    OUT/world.json                                  the settings, so that two worlds never share a folder

A video is a pure function of (settings, its scene index), and its number determines its lists, so that a world can
grow: seven of ten numbers are for training, three for validation; one in five training videos is in train_subsetV.
"""

import dataclasses
import functools
import json
import multiprocessing
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jax
from tabulate import tabulate

from aloe.data.claim import check_arguments, claim
from aloe.data.parallel import ordered_map
from aloe.data.whole import write_whole
from aloe.errors import InputError
from aloe.progress_bar import progress_bar
from aloe.tasks.cater import annotations, files, grid, pictures, scenes, view
from aloe.tasks.cater.files import CAMERAS

VERSION = 1  # bump when a seed yields different videos
LARGEST = 100_000  # videos; the official variants have 5,500 each

# Flags of launch/make_world.py, in addition to those that every task has.
FLAGS: dict[str, dict[str, Any]] = {
    "hidden": {"type": float, "help": "chance, 0 to 1, that the snitch ends up under a cone"},
    "objects": {"type": int, "default": scenes.MOST, "help": "how many objects a video has at most, 5 to 10"},
}


@dataclasses.dataclass(frozen=True)
class Told:
    """What the report counts for a video."""

    label: int
    hidden: bool
    carried: bool
    kept: bool


@dataclasses.dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
      out: the folder.
      videos: what is counted for each video, by camera and list.
      elapsed: total time in seconds.
      drawn: whether video files were written too, or only scene files and lists.
    """

    out: Path
    videos: dict[str, dict[str, list[Told]]]
    elapsed: float
    drawn: bool

    def __str__(self) -> str:
        rows = [
            (
                *(camera, name, len(videos)),
                *(share(videos, "hidden"), share(videos, "carried")),
                Counter(video.label for video in videos).most_common(1)[0][1] / len(videos) if videos else 0.0,
            )
            for camera, lists in self.videos.items()
            for name, videos in lists.items()
        ]
        headers = ("camera", "list", "videos", "hidden at the end", "carried while hidden", "in the commonest cell")
        every = [video for lists in self.videos.values() for name in files.LISTS.values() for video in lists[name]]
        kept = sum(video.kept for video in every)
        return (
            tabulate(rows, headers, floatfmt=".3f")
            + f"\n\n{len(every)} videos, {kept} of which were there already, in {self.out}: {self.elapsed:.1f} s"
            + ("" if self.drawn else "; no video file was written")
        )


def share(videos: list[Told], name: str) -> float:
    """The fraction of videos for which the attribute `name` is true."""
    return sum(getattr(video, name) for video in videos) / max(1, len(videos))


@dataclasses.dataclass(frozen=True)
class _Settings:
    out: Path
    seed: int
    most: int
    hidden: float | None
    size: tuple[int, int] | None
    gpu: bool


def write(
    out: Path,
    videos: int | None,
    *,
    seed: int = 0,
    width: int = view.WIDTH,
    height: int = view.HEIGHT,
    workers: int | None = None,
    gpu: bool = False,
    draw: bool = True,
    hidden: float | None = None,
    objects: int = scenes.MOST,
) -> Report:
    """Writes a world, or whatever is missing from it.

    Args:
      out: the folder that contains the variants' folders; created if missing.
      videos: total number of videos, half from each camera.
      seed: the seed of everything drawn.
      width, height: size of the pictures in pixels, both even.
      workers: number of processes; by default one per core, and none for few videos.
      gpu: whether this process draws the videos, on its GPU.
      draw: whether to write video files too. A later call that does adds them.
      hidden: probability that the snitch is under a cone at the end; None leaves it to chance, about 0.3.
      objects: maximum number of objects in a video.

    Raises:
      InputError: an argument makes no sense, or the folder holds something else.
    """
    began = time.perf_counter()
    videos = _checked(videos, seed, width, height, workers, gpu, draw, hidden, objects)
    settings = _Settings(out, seed, objects, hidden, (width, height) if draw else None, gpu)
    marks = {"task": "cater", "version": VERSION, "seed": seed, "width": width, "height": height}
    claim(out, marks | {"hidden": hidden, "objects": objects}, videos)
    sizes = {"static": videos - videos // 2, "moving": videos // 2}
    indices = [files.first_index(camera) + number for camera in CAMERAS for number in range(sizes[camera])]
    made = ordered_map(functools.partial(_make, settings), indices, 1 if gpu else workers)
    told = dict(zip(indices, progress_bar(made, f"CATER world in {out}", videos, unit="video"), strict=True))
    # Lists are written last: an interrupted world has none, so it is not mistaken for a complete one.
    counted: dict[str, dict[str, list[Told]]] = {}
    for camera in CAMERAS:
        lists: dict[str, list[int]] = {name: [] for name in (*files.LISTS.values(), *files.TUNING_LISTS.values())}
        for index in indices:
            if files.camera_of(index) == camera:
                for name in lists_of(index - files.first_index(camera)):
                    lists[name].append(index)
        for name, listed in lists.items():
            lines = [f"{files.video_name(index)} {told[index].label}\n" for index in listed]
            write_whole(files.list_path(_folder(out, camera), name), "".join(lines))
        counted[camera] = {name: [told[index] for index in listed] for name, listed in lists.items()}
    return Report(out, counted, time.perf_counter() - began, draw)


def lists_of(number: int) -> tuple[str, str] | tuple[str]:
    """The lists of the video with this number."""
    ten, place = divmod(number, 10)
    if place >= 7:
        return (files.LISTS["validation"],)
    subset = "validation" if (7 * ten + place) % 5 == 4 else "train"
    return files.LISTS["train"], files.TUNING_LISTS[subset]


def _checked(
    videos: int | None,
    seed: int,
    width: int,
    height: int,
    workers: int | None,
    gpu: bool,
    draw: bool,
    hidden: float | None,
    objects: int,
) -> int:
    """Checks the arguments; returns the number of videos."""
    if videos is None:
        raise InputError("--videos is missing: say how many videos to make in all, such as --videos=600.")
    if not 20 <= videos <= LARGEST:
        raise InputError(f"videos={videos}: there must be at least 20, ten of each camera, and at most {LARGEST}.")
    check_arguments(seed, width, height, workers, gpu, draw)
    if hidden is not None and not 0 <= hidden <= 1:
        raise InputError(f"--hidden={hidden}: give a chance from 0 to 1, such as 0.5.")
    if not scenes.FEWEST <= objects <= scenes.MOST:
        raise InputError(f"--objects={objects}: a video has {scenes.FEWEST} to {scenes.MOST} objects.")
    return videos


def _folder(out: Path, camera: str) -> Path:
    return out / {"static": files.STATIC_FOLDER, "moving": files.STATIC_FOLDER + files.MOVING_SUFFIX}[camera]


def _make(settings: _Settings, scene_index: int) -> Told:
    """Writes a video and its scene file unless they exist."""
    folder = _folder(settings.out, files.camera_of(scene_index))
    video = folder / "videos" / files.video_name(scene_index)
    told = folder / "scenes" / video.with_suffix(".json").name
    kept = told.exists() and (video.exists() or settings.size is None)
    if kept:
        return count(annotations.read_annotation(told), kept)
    if multiprocessing.parent_process() is not None:
        jax.config.update("jax_platforms", "cpu")  # so that many processes do not share one accelerator
    scene = scenes.sample(settings.seed, scene_index, settings.most, settings.hidden)
    write_whole(told, json.dumps(scenes.describe(scene, scene_index), separators=(",", ":")))
    if settings.size:
        drawn = pictures.solids(scene.objects, scene.motion.location_FxOx3, scene.motion.yaw_FxO)
        pictures.write(pictures.draw(drawn, scene.camera_Fx3, *settings.size, gpu=settings.gpu), video)
    return count(scene.annotation, kept)


def count(annotation: annotations.Annotation, kept: bool) -> Told:
    """What the report says of a video: whether the snitch is hidden at its end, and in another cell than last seen."""
    seen = annotation.location_FxOx3[annotations.last_seen(annotation), annotation.snitch]
    hidden, label = scenes.is_hidden(annotation), annotation.label
    return Told(label, hidden, hidden and int(grid.cell(seen)) != label, kept)
