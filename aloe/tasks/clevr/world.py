"""Writes a CLEVR world of our own: the official files, from a seed.

    OUT/images/train/CLEVR_train_000000.png      in train, val and test
    OUT/scenes/train/CLEVR_train_000000.json     one scene; in train and val
    OUT/scenes/CLEVR_train_scenes.json           all scenes of a split; in train and val
    OUT/questions/CLEVR_train_questions.json     in test without programs and answers
    OUT/truth/                                   private: the scenes of test, and its questions with answers
    OUT/world.json                               the settings, so that two worlds never share a folder

An image is a pure function of (seed, split, number in the split). Its questions also depend on the preceding images of
its shard, a contiguous part of the split within which answers are balanced.
"""

import dataclasses
import functools
import itertools
import json
import multiprocessing
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tabulate import tabulate

from aloe.data.claim import check_arguments, claim
from aloe.data.fields import read_json
from aloe.data.parallel import ordered_map, worth_processes
from aloe.data.whole import write_whole
from aloe.errors import InputError
from aloe.progress_bar import progress_bar
from aloe.render import raycast
from aloe.tasks.clevr import files, pictures, placing, question_writer
from aloe.tasks.clevr.programs import FAMILIES, family_of
from aloe.tasks.clevr.scenes import Attributes, parse_scene
from aloe.tasks.clevr.templates import GROUPS
from aloe.tasks.clevr.vocabulary import RELATIONS

VERSION = 3  # increment when a seed yields different images or questions
HELD_OUT = 0.15  # share of the images for validation, and the same for test
LEAST, LARGEST = 10, 100_000  # images in total
SHARD = 2_000  # images that one process asks about at a time: about 40 s, and enough to balance answers

# Flags of launch/make_world.py, in addition to those of every task.
FLAGS: dict[str, dict[str, Any]] = {
    "objects": {"type": int, "default": placing.MOST, "help": f"maximum number in an image, at least {placing.LEAST}"},
    "questions": {"default": ",".join(GROUPS), "help": "which templates to ask, comma-separated"},
}


@dataclasses.dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
      out: the folder.
      images: number of images by split.
      questions: by split, the number of questions of each family.
      answers: by the last function of a program, how often each answer is the correct one.
      kept: number of images that existed already.
      elapsed: total seconds elapsed.
      drawn: whether the pictures were written too.
    """

    out: Path
    images: dict[str, int]
    questions: dict[str, Counter[str]]
    answers: dict[str, Counter[str]]
    kept: int
    elapsed: float
    drawn: bool

    def __str__(self) -> str:
        counts = [
            (split, images, *(self.questions[split][family] for family in FAMILIES))
            for split, images in self.images.items()
        ]
        shares = [
            (kind, total := counter.total(), ", ".join(f"{name} {n / total:.0%}" for name, n in counter.most_common()))
            for kind, counter in sorted(self.answers.items())
        ]
        return "\n\n".join(
            [
                tabulate(counts, ("split", "images", *FAMILIES)),
                tabulate(shares, ("answers of", "number", "shares")),
                f"{sum(self.images.values())} images, {self.kept} of which were there already, in {self.out}: "
                f"{self.elapsed:.1f} s" + ("" if self.drawn else "; no picture was written"),
            ]
        )


@dataclasses.dataclass(frozen=True)
class _Settings:
    root: Path
    seed: int
    size: tuple[int, int] | None  # of the pictures; None: draw no pictures
    objects: int
    groups: tuple[str, ...]  # of the templates that questions are made from


def write(
    out: Path,
    videos: int | None,
    *,
    seed: int = 0,
    width: int = placing.WIDTH,
    height: int = placing.HEIGHT,
    workers: int | None = None,
    gpu: bool = False,
    draw: bool = True,
    objects: int = placing.MOST,
    questions: str = ",".join(GROUPS),
) -> Report:
    """Writes a world, or completes one that is partly written.

    Args:
      out: the folder; created if missing. One with other contents or settings is refused.
      videos: images over all splits: 70 % for training, 15 % each for validation and test.
      seed: of all random numbers.
      width, height: of the pictures, in pixels.
      workers: number of processes; by default one per core, and none for few images.
      gpu: whether this process itself draws the pictures, on its GPU.
      draw: whether to write pictures too. A later call can add them.
      objects: maximum number of objects in an image.
      questions: the groups of templates that questions are made from, comma-separated.

    Raises:
      InputError: an argument is invalid, or the folder holds something else.
    """
    began = time.perf_counter()
    groups = questions.split(",")
    question_writer.rows_of(groups)
    if videos is None:
        raise InputError("--videos is missing: say how many images to make in all, such as --videos=1000.")
    if not LEAST <= videos <= LARGEST:
        raise InputError(f"videos={videos}: there must be at least {LEAST} images, and at most {LARGEST}.")
    if not placing.LEAST <= objects <= placing.MOST:
        raise InputError(f"--objects={objects}: an image has from {placing.LEAST} up to {placing.MOST}.")
    check_arguments(seed, width, height, workers, gpu, draw, pictures="pictures")
    marks = {"task": "clevr", "version": VERSION, "seed": seed, "width": width, "height": height}
    claim(out, marks | {"objects": objects, "questions": groups}, videos)

    settings = _Settings(out, seed, (width, height) if draw else None, objects, tuple(groups))
    workers = workers or worth_processes(videos)
    indices = {
        split: range(files.first_index(split), files.first_index(split) + size)
        for split, size in _sizes(videos).items()
    }
    every = [index for of_split in indices.values() for index in of_split]
    made = ordered_map(functools.partial(_make, settings), every, 1 if gpu else workers)
    kept = sum(progress_bar(made, f"CLEVR world in {out}", len(every), unit="image"))
    asked = _ask(settings, indices, workers)
    answers: defaultdict[str, Counter[str]] = defaultdict(Counter)
    families: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for split, counts in asked.items():
        for (function, answer), number in counts.items():
            answers[function][answer] += number
            families[split][family_of(function)] += number
    return Report(
        out=out,
        images={split: len(of_split) for split, of_split in indices.items()},
        questions=families,
        answers=answers,
        kept=kept,
        elapsed=time.perf_counter() - began,
        drawn=draw,
    )


def _sizes(videos: int) -> dict[str, int]:
    held_out = round(HELD_OUT * videos)
    return {"train": videos - 2 * held_out, "validation": held_out, "test": held_out}


def _make(settings: _Settings, scene_index: int) -> bool:
    """Writes an image and its scene unless they already exist; returns whether they did."""
    scene_path, image_path = files.scene_path(settings.root, scene_index), files.image_path(settings.root, scene_index)
    if scene_path.exists() and (image_path.exists() or not settings.size):
        return True
    if multiprocessing.parent_process() is not None:
        jax.config.update("jax_platforms", "cpu")  # many processes must not share one accelerator
    rng = _random(settings.seed, scene_index, 0)
    position_3 = placing.draw_camera(rng)
    objects = placing.draw_objects(int(rng.integers(placing.LEAST, settings.objects + 1)), rng)
    solids = placing.place(objects, position_3, rng)
    _write_json(scene_path, describe(scene_index, objects, solids, position_3))
    if settings.size:
        pictures.write(image_path, pictures.draw(solids, position_3, *settings.size))
    return False


def describe(
    scene_index: int, objects: tuple[Attributes, ...], solids: raycast.Solids, position_3: np.ndarray
) -> dict[str, Any]:
    """A scene in the official format, plus the camera's position; pixel coordinates are for the official size."""
    location_Ox3, towards = np.asarray(solids.location_FxOx3)[0], placing.directions(position_3)
    pixels_Ox2, depth_O = placing.view(position_3, placing.WIDTH, placing.HEIGHT).project(location_Ox3)
    yaw_O = np.degrees(np.asarray(solids.yaw_FxO)[0])
    return {
        "split": files.OFFICIAL[files.split_of(scene_index)],
        "image_index": scene_index - files.first_index(files.split_of(scene_index)),
        "image_filename": f"{files.official_name(scene_index)}.png",
        "objects": [
            {
                **one._asdict(),
                "3d_coords": location_Ox3[place].tolist(),
                "rotation": float(yaw_O[place]),
                "pixel_coords": [*pixels_Ox2[place].tolist(), float(depth_O[place])],
            }
            for place, one in enumerate(objects)
        ],
        "relationships": {name: placing.related(location_Ox3, towards, name) for name in RELATIONS},
        "directions": {name: each.tolist() for name, each in towards.items()},
        "camera": position_3.tolist(),
    }


# The scene of an image as stored in its file, and the questions about it.
_Asked = tuple[dict[str, Any], list[dict[str, Any]]]


def _ask(settings: _Settings, indices: Mapping[str, range], workers: int) -> dict[str, Counter[tuple[str, str]]]:
    """Asks about all images and writes the splits; returns the counts of (function, answer) by split."""
    shards = [
        of_split[start : start + SHARD] for of_split in indices.values() for start in range(0, len(of_split), SHARD)
    ]
    workers = min(workers, len(shards))
    parts: Iterator[list[_Asked]]
    if workers > 1:
        parts = ordered_map(functools.partial(_ask_shard, settings), shards, workers, chunk=1)
    else:
        parts = ([asked] for shard in shards for asked in _ask_about(settings, shard))
    with progress_bar(total=sum(map(len, shards)), desc="questions", unit="image") as bar:

        def told() -> Iterator[_Asked]:
            for part in parts:
                bar.update(len(part))
                yield from part

        of_images = told()
        return {
            split: _write_split(settings.root, split, itertools.islice(of_images, len(of_split)))
            for split, of_split in indices.items()
        }


def _ask_shard(settings: _Settings, indices: range) -> list[_Asked]:
    return list(_ask_about(settings, indices))


def _ask_about(settings: _Settings, indices: range) -> Iterator[_Asked]:
    """Asks about the images of a shard, in order."""
    records = [read_json(files.scene_path(settings.root, index)) for index in indices]
    scenes = (
        (parse_scene(record), _random(settings.seed, index, 1)) for index, record in zip(indices, records, strict=True)
    )
    return zip(records, question_writer.ask(scenes, settings.groups), strict=True)


def _write_split(root: Path, split: str, asked: Iterable[_Asked]) -> Counter[tuple[str, str]]:
    """Writes the scenes and questions of a split as official files; returns the counts of (function, answer)."""
    official = files.OFFICIAL[split]
    records: list[dict[str, Any]] = []
    questions: list[dict[str, Any]] = []
    for record, of_image in asked:
        records.append(record)
        image = {"image_index": record["image_index"], "image_filename": record["image_filename"]}
        for question in of_image:
            questions.append({"question_index": len(questions), "split": official, **image, **question})
    info = {"split": official, "version": "our own world"}
    public = questions
    if split in files.UNLABELLED:
        hidden = ("program", "answer", "question_family_index")
        public = [{key: value for key, value in each.items() if key not in hidden} for each in questions]
        _write_json(files.questions_path(root / "truth", split), {"info": info, "questions": questions})
    else:
        _write_json(files.scenes_path(root, split), {"info": info, "scenes": records})
    # Questions are written last: an interrupted world has none, so it is not mistaken for a complete one.
    _write_json(files.questions_path(root, split), {"info": info, "questions": public})
    return Counter((question["program"][-1]["function"], question["answer"]) for question in questions)


def _random(seed: int, scene_index: int, use: int) -> np.random.Generator:
    return np.random.default_rng((seed, scene_index, use))


def _write_json(path: Path, record: Any) -> None:
    write_whole(path, json.dumps(record, separators=(",", ":")))
