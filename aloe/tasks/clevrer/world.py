"""Writes a CLEVRER world of our own: the official files, from a seed.

    OUT/video_00000-01000/video_00000.mp4             128 frames at 25 per second; 1,000 files per folder
    OUT/annotation_00000-01000/annotation_00000.json  for the train and validation videos
    OUT/{train,validation,test}.json                  questions; for test, without programs and answers
    OUT/world.json                                    the settings, so that two worlds never share a folder
    OUT/truth/                                        private: what no model may see

In truth/ are, in the same layout, truth_*.json for every video (collisions after the video, and without each object;
see truth.describe), hidden_annotation_*.json for the test videos, and hidden_test.json with programs and answers: names
that no reader of the official files matches.

Train videos are numbered from 0, validation from 10000, test from 15000. A video is a pure function of (seed, number).
What is asked about it also depends on the videos before it in its split, as answers are balanced, but neither on the
number of processes nor on how many videos follow.
"""

import dataclasses
import functools
import itertools
import json
import multiprocessing
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tabulate import tabulate

from aloe.data.claim import check_arguments, claim
from aloe.data.whole import write_whole
from aloe.errors import InputError
from aloe.progress_bar import progress_bar
from aloe.render import raycast
from aloe.tasks.clevrer import appearance, balance, executor, pictures, question_writer, scenes, truth
from aloe.tasks.clevrer.annotations import parse_annotation

START = {"train": 0, "validation": 10_000, "test": 15_000}
LARGEST = {"train": 10_000, "validation": 5_000, "test": 5_000}
FOLDER = 1_000
VERSION = 2  # increment when a seed would yield other videos or questions


@dataclasses.dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
      out: where.
      videos: per split.
      kept: how many videos were already there.
      questions: per split and type.
      answers: count of each answer, per subtype; for multiple choice, count of each label, per type.
      seconds: CPU time per stage, summed over all processes.
      elapsed: total wall-clock seconds.
      drawn: whether the videos were written too, or only the data about them.
    """

    out: Path
    videos: dict[str, int]
    kept: int
    questions: dict[str, Counter[str]]
    answers: dict[str, Counter[str]]
    seconds: dict[str, float]
    elapsed: float
    drawn: bool

    def __str__(self) -> str:
        types = ("descriptive", "explanatory", "predictive", "counterfactual")
        counts = [
            (split, videos, *(self.questions[split][kind] for kind in types)) for split, videos in self.videos.items()
        ]
        shares = [
            (kind, total := counter.total(), ", ".join(f"{name} {n / total:.0%}" for name, n in counter.most_common()))
            for kind, counter in sorted(self.answers.items())
        ]
        return "\n\n".join(
            [
                tabulate(counts, ("split", "videos", *types)),
                tabulate(shares, ("answers of", "number", "shares")),
                tabulate(self.seconds.items(), ("stage", "processor seconds"), floatfmt=".1f"),
                f"{sum(self.videos.values())} videos, {self.kept} of which were there already, in {self.out}: "
                f"{self.elapsed:.1f} s" + ("" if self.drawn else "; no video file was written"),
            ]
        )


@dataclasses.dataclass(frozen=True)
class _Settings:
    out: Path
    seed: int
    width: int
    height: int
    draw: bool
    gpu: bool

    def file(self, kind: str, suffix: str, index: int) -> Path:
        """Path of a file of video `index`; everything that is private to the world is in truth/."""
        start = index // FOLDER * FOLDER
        if kind == "annotation" and index >= START["test"]:
            kind = "hidden_annotation"
        root = self.out if kind in ("video", "annotation") else self.out / "truth"
        return root / f"{kind}_{start:05d}-{start + FOLDER:05d}" / f"{kind}_{index:05d}{suffix}"


@dataclasses.dataclass(frozen=True)
class _Made:
    candidates: list[question_writer.Candidate]
    seconds: dict[str, float]
    kept: bool
    undrawn: tuple[raycast.Solids, Path] | None  # what the parent must draw, and to which file


def write(
    out: Path,
    videos: int,
    *,
    seed: int = 0,
    width: int = 480,
    height: int = 320,
    workers: int | None = None,
    gpu: bool = False,
    draw: bool = True,
) -> Report:
    """Writes a world, or whatever is missing from it.

    Args:
      out: the folder; created if missing. One with other contents, or of another seed or size, is refused.
      videos: in total; a tenth (at least one) for validation, a tenth for test, the rest for train.
      seed: for everything.
      width, height: of the pictures in pixels, both even.
      workers: processes; by default one per core.
      gpu: whether this process draws the pictures on its GPU, which rounds slightly differently from a CPU.
      draw: whether to write the videos too. A later call that does writes the missing ones and leaves the rest.

    Raises:
      InputError: an argument is invalid, or the folder holds something else.
    """
    began = time.perf_counter()
    _check(videos, seed, width, height, workers, gpu, draw)
    splits = _splits(videos)
    settings = _Settings(out, seed, width, height, draw, gpu)
    workers = workers or os.cpu_count() or 1
    marks = {"task": "clevrer", "version": VERSION, "seed": seed, "width": width, "height": height}
    claim(out, marks, videos)

    indices = {split: [START[split] + place for place in range(size)] for split, size in splits.items()}
    records: dict[str, list[dict[str, Any]]] = {}
    seconds: dict[str, float] = defaultdict(float)
    kept = 0

    def candidates(made: Iterable[_Made]) -> Iterator[list[question_writer.Candidate]]:
        nonlocal kept
        for video in made:
            bar.update()
            kept += video.kept
            if video.undrawn:
                drawer.add(*video.undrawn)
            for stage, spent in video.seconds.items():
                seconds[stage] += spent
            yield video.candidates

    # Spawned, not forked: JAX's threads would not survive a fork.
    spawn = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(workers, spawn, initializer=_start_worker) as pool,
        pictures.Drawer(width, height, threads=workers) as drawer,
        progress_bar(total=videos, unit="video", desc=f"CLEVRER world in {out}") as bar,
    ):
        try:
            in_order = candidates(pool.map(functools.partial(_make, settings), itertools.chain(*indices.values())))
            for split, size in splits.items():
                of_videos = balance.choose(itertools.islice(in_order, size))
                records[split] = [
                    {"scene_index": index, "video_filename": f"video_{index:05d}.mp4", "questions": chosen}
                    for index, chosen in zip(indices[split], of_videos, strict=True)
                ]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise

    if gpu:
        seconds["write"] += drawer.seconds
    _write_json(out / "truth" / "hidden_test.json", records["test"])
    for split in splits:
        _write_json(out / f"{split}.json", _without_answers(records[split]) if split == "test" else records[split])
    asked = {split: [question for record in records[split] for question in record["questions"]] for split in splits}
    return Report(
        out=out,
        videos=splits,
        kept=kept,
        questions={split: Counter(each["question_type"] for each in asked[split]) for split in splits},
        answers=_answers(itertools.chain(*asked.values())),
        seconds=dict(seconds),
        elapsed=time.perf_counter() - began,
        drawn=draw,
    )


def _check(videos: int | None, seed: int, width: int, height: int, workers: int | None, gpu: bool, draw: bool) -> None:
    largest = sum(LARGEST.values())
    if videos is None:
        raise InputError("--videos is missing: say how many videos to make in all, such as --videos=600.")
    if not 3 <= videos <= largest:
        raise InputError(f"videos={videos}: there must be at least 3, one for each split, and at most {largest}.")
    check_arguments(seed, width, height, workers, gpu, draw)


def _splits(videos: int) -> dict[str, int]:
    """A tenth each for validation and test, or more if train is full."""
    held_out = max(1, round(videos / 10), -(-(videos - LARGEST["train"]) // 2))
    return {"train": videos - 2 * held_out, "validation": held_out, "test": held_out}


def _start_worker() -> None:
    """One thread per process, as the processes keep all cores busy; Ctrl-C is left to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    jax.config.update("jax_platforms", "cpu")


def _make(settings: _Settings, index: int) -> _Made:
    """Writes a video (only its data, if the parent draws) unless it exists, and makes its candidate questions."""
    seconds = {}
    undrawn = None
    clock = time.process_time()

    def lap(stage: str) -> None:
        nonlocal clock
        clock, last = time.process_time(), clock
        seconds[stage] = clock - last

    video = settings.file("video", ".mp4", index)
    annotation_file, truth_file = (settings.file(kind, ".json", index) for kind in ("annotation", "truth"))
    kept = annotation_file.exists() and truth_file.exists() and (video.exists() or not settings.draw)
    if kept:
        annotation, private = (json.loads(file.read_text()) for file in (annotation_file, truth_file))
    else:
        scene, motion = scenes.sample(settings.seed, index)
        annotation, private = truth.describe(scene, motion, index)
        lap("simulate")
        if settings.draw:
            seen = slice(scenes.SEEN)
            solids = appearance.solids(scene.attributes, motion.location_FxOx2[seen], motion.angle_FxO[seen])
            if settings.gpu:
                undrawn = solids, video
            else:
                image_FxYxXx3 = pictures.draw(solids, settings.width, settings.height).block_until_ready()
                lap("render")
                pictures.write(image_FxYxXx3, video)
        _write_json(annotation_file, annotation)
        _write_json(truth_file, private)
        lap("write")
    rng = np.random.default_rng((settings.seed, index, 1))
    candidates = question_writer.candidates(executor.read(parse_annotation(annotation), private), private, rng)
    lap("ask")
    return _Made(candidates, seconds, kept, undrawn)


def _write_json(file: Path, content: Any) -> None:
    write_whole(file, json.dumps(content, separators=(",", ":")))


def _without_answers(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    def public(entry: dict[str, Any]) -> dict[str, Any]:
        shown = {key: value for key, value in entry.items() if key not in ("program", "answer")}
        return shown | {"choices": [public(choice) for choice in entry["choices"]]} if "choices" in entry else shown

    return [record | {"questions": [public(question) for question in record["questions"]]} for record in records]


def _answers(questions: Iterable[dict[str, Any]]) -> dict[str, Counter[str]]:
    answers: dict[str, Counter[str]] = {}
    for question in questions:
        counter = answers.setdefault(question.get("question_subtype", question["question_type"]), Counter())
        counter.update(entry["answer"] for entry in question.get("choices", [question]))
    return answers
