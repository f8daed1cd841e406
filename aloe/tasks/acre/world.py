"""Writes an ACRE world of our own: files of the three regimes in the official layout, generated from a seed.

    OUT/ACRE_IID/config/{train,val,test}.json
    OUT/ACRE_IID/images/ACRE_train_000000_00.png     one picture per panel, ten per problem
    OUT/ACRE_IID/scenes/ACRE_train_000000_00.json
    OUT/ACRE_IID/world.json                          the settings, so that two worlds never share a folder
    OUT/ACRE_Comp/…, OUT/ACRE_Sys/…

The problems of a split can be taken from an existing config, even the official one: then only the pictures are ours.
Each split is either given this way or drawn, and stays so in later calls. What is drawn, panels included, is a pure
function of (seed, regime, split, position in the split).
"""

import dataclasses
import functools
import hashlib
import json
import multiprocessing
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tabulate import tabulate

from aloe.data.claim import check_arguments, claim, marked
from aloe.data.parallel import ordered_map
from aloe.data.whole import write_whole
from aloe.errors import InputError, nearest
from aloe.progress_bar import progress_bar
from aloe.tasks.acre import files, generator, pictures, placing
from aloe.tasks.acre.objects import REGIMES, attributes
from aloe.tasks.acre.problems import PANELS, Problem, to_json

VERSION = 1  # bump when a seed yields different problems or panels
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}
LARGEST = 100_000  # problems per regime; official sets have 10,000

# Flags of launch/make_world.py, in addition to those that every task has.
FLAGS: dict[str, dict[str, Any]] = {
    "regimes": {"default": "", "help": "comma-separated; default: the one named in --config's path, or all"},
    "config": {"type": Path, "metavar": "FILE.json", "help": "an existing config, which fills the split --split"},
    "objects": {"type": int, "help": "number of different objects that problems draw from, at least 8; default: all"},
    "split": {"default": "validation", "help": "the split that --config fills; without --videos no other is written"},
}


@dataclasses.dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
      out: the folder.
      problems: number of problems by regime and split.
      statistics: `generator.statistics` by regime, over its drawn splits together; a given split is "REGIME, given".
      kept: number of problems that were there already.
      elapsed: total time in seconds.
      drawn: whether pictures were written too.
    """

    out: Path
    problems: dict[str, dict[str, int]]
    statistics: dict[str, dict[str, float]]
    kept: int
    elapsed: float
    drawn: bool

    def __str__(self) -> str:
        names = sorted(set().union(*self.statistics.values()))
        sizes = [
            (regime, *(splits.get(split, 0) for split in files.SPLITS)) for regime, splits in self.problems.items()
        ]
        shares = [(name, *(told.get(name, 0.0) for told in self.statistics.values())) for name in names]
        total = sum(sum(splits.values()) for splits in self.problems.values())
        return "\n\n".join(
            [
                tabulate(sizes, ("problems", *files.SPLITS)),
                tabulate(shares, ("share of queries", *self.statistics), floatfmt=".3f"),
                f"{total} problems, {self.kept} of which were there already, in {self.out}: {self.elapsed:.1f} s"
                + ("" if self.drawn else "; no picture was written"),
            ]
        )


@dataclasses.dataclass(frozen=True)
class _Settings:
    root: Path
    regime: str
    seed: int
    size: tuple[int, int] | None
    gpu: bool


def write(
    out: Path,
    videos: int | None = None,
    *,
    seed: int = 0,
    width: int = placing.CAMERA.width,
    height: int = placing.CAMERA.height,
    workers: int | None = None,
    gpu: bool = False,
    draw: bool = True,
    regimes: str = "",
    config: Path | None = None,
    split: str = "validation",
    objects: int | None = None,
) -> Report:
    """Writes a world, or whatever is missing from it.

    Args:
      out: the folder that contains the regimes' folders.
      videos: problems per regime over all splits, 60, 20 and 20 %. None, with a config, writes its split alone.
      seed: the seed of everything drawn.
      width, height: size of the pictures in pixels.
      workers: number of processes; by default one per core, and none for few problems.
      gpu: whether this process draws the pictures, on its GPU.
      draw: whether to write pictures too; without them, scene files have no masks. A later call with them adds both.
      regimes: comma-separated names; by default the regime named in the config's path, without a config all.
      config: a config of one regime, whose problems are used for `split` instead of drawn ones. A later call may give
        another split its own; a split that has been given is never drawn.
      split: see `config`.
      objects: number of different objects to draw problems from, for a smaller, easier world; None means all.

    Raises:
      InputError: an argument makes no sense, the config is broken, or the folder holds something else.
    """
    began = time.perf_counter()
    chosen = regimes.split(",") if regimes else [_regime_of(config)] if config else list(REGIMES)
    _check(videos, seed, width, height, workers, gpu, draw, chosen, config, split)
    pools = {regime: _pool(regime, objects) for regime in chosen}
    given = {split: _read_config(config, chosen[0], split)} if config else {}
    sizes = {name: round(share * videos) for name, share in SHARES.items()} if videos else {}
    problems: dict[str, dict[str, int]] = {}
    statistics: dict[str, dict[str, float]] = {}
    kept = 0
    for regime in chosen:
        root = out / f"ACRE_{regime}"
        configs = _configs(root, config, split)
        drawn_sizes = {name: size for name, size in sizes.items() if name not in configs}
        made = {name: _drawn(regime, name, size, seed, pools[regime]) for name, size in drawn_sizes.items()} | given
        marks = {"task": "acre", "version": VERSION, "regime": regime, "seed": seed, "width": width, "height": height}
        claim(root, marks | {"objects": pools[regime]}, videos or 0, {"config": configs})
        kept += _write_panels(_Settings(root, regime, seed, (width, height) if draw else None, gpu), made, workers)
        # Configs are written last: an interrupted world has none, so it is not mistaken for a complete one.
        for name, of_split in made.items():
            write_whole(files.config_path(root, name), json.dumps([to_json(problem) for problem in of_split]))
        problems[regime] = {name: len(of_split) for name, of_split in made.items()}
        drawn = [problem for name, of_split in made.items() if name not in given for problem in of_split]
        statistics |= {f"{regime}, given": generator.statistics(of_split) for of_split in given.values()}
        statistics |= {regime: generator.statistics(drawn)} if drawn else {}
    return Report(out, problems, statistics, kept, time.perf_counter() - began, draw)


def _configs(root: Path, config: Path | None, split: str) -> dict[str, str]:
    """Split → checksum of the config that a regime's world takes its problems from, including the one given now.

    Raises:
      InputError: the split already has other problems, whose panels would be mistaken for those of this config.
    """
    found = marked(root) or {"config": {}, "videos": 0}
    configs: dict[str, str] = found["config"]
    if config is None:
        return configs
    given = hashlib.sha256(config.read_bytes()).hexdigest()
    if configs.get(split, given) != given or (split not in configs and found["videos"]):
        whose = "of another config" if split in configs else "drawn"
        raise InputError(
            f"{root}: the problems of its {split} split are {whose}, and would be mixed with those of "
            f"--config={config}; name another folder, or another --split."
        )
    return configs | {split: given}


def _check(
    videos: int | None,
    seed: int,
    width: int,
    height: int,
    workers: int | None,
    gpu: bool,
    draw: bool,
    regimes: Sequence[str],
    config: Path | None,
    split: str,
) -> None:
    for regime in regimes:
        if regime not in REGIMES:
            raise InputError(f"--regimes={','.join(regimes)}: no regime {regime!r}{nearest(regime, REGIMES)}")
    if split not in files.SPLITS:
        raise InputError(f"--split={split}: no such split{nearest(split, files.SPLITS)}")
    if config and len(regimes) > 1:
        raise InputError(f"--config={config}: is of one regime, and --regimes={','.join(regimes)} are more.")
    if videos is None and not config:
        raise InputError("--videos is missing: say how many problems to make in all, such as --videos=200.")
    if videos is not None and not 5 <= videos <= LARGEST:
        raise InputError(f"videos={videos}: there must be at least 5, and at most {LARGEST}.")
    check_arguments(seed, width, height, workers, gpu, draw, pictures="pictures")


def _regime_of(config: Path) -> str:
    """The regime named in the path of a config, as in IID_val.json and ACRE_IID/config/val.json."""
    words = re.split(r"[^A-Za-z]+", str(config))
    found = [regime for regime in REGIMES if regime in words]
    if len(found) != 1:
        raise InputError(f"--config={config}: of which regime is it? Say so, such as --regimes=IID.")
    return found[0]


def _read_config(path: Path, regime: str, split: str) -> list[Problem]:
    """The problems of a config; all must be valid, with object ids that the regime has."""
    problems, wrong = files.parse_config(path, split)
    known = len(attributes(regime, split))
    wrong += [
        f"{path}: problem {place}: object {each} is none of {regime}'s {known}; is it the config of another regime?"
        for place, problem in enumerate(problems)
        for each in sorted({each for objects in problem.panels for each in objects if each >= known})
    ]
    if wrong:
        raise InputError("\n".join(wrong[:5]))
    return problems


def _pool(regime: str, objects: int | None) -> list[int]:
    """Ids to draw problems from; a smaller pool is itself drawn at random, as neighbouring ids look alike."""
    known = len(attributes(regime, "train"))
    if objects is None:
        return list(range(known))
    if not 8 <= objects <= known:
        raise InputError(f"--objects={objects}: a problem of {regime} has up to 8 different objects of {known}.")
    return sorted(np.random.default_rng(0).permutation(known)[:objects].tolist())


def _drawn(regime: str, split: str, size: int, seed: int, pool: list[int]) -> list[Problem]:
    drawn_as = generator.regime(regime, split)
    indices = range(files.first_index(split), files.first_index(split) + size)
    return [generator.draw(drawn_as, pool, index, _random(seed, regime, index, 0)) for index in indices]


def _random(seed: int, regime: str, scene_index: int, use: int) -> np.random.Generator:
    return np.random.default_rng((seed, REGIMES.index(regime), scene_index, use))


def _write_panels(settings: _Settings, made: dict[str, list[Problem]], workers: int | None) -> int:
    """Writes the panels of all problems; returns how many problems already had theirs."""
    problems = [problem for of_split in made.values() for problem in of_split]
    written = ordered_map(functools.partial(_make, settings), problems, 1 if settings.gpu else workers)
    title = f"ACRE_{settings.regime}"
    return sum(progress_bar(written, title, len(problems), unit="problem"))


def _make(settings: _Settings, problem: Problem) -> bool:
    """Writes the panels of a problem unless they exist; returns whether they did."""
    index = problem.scene_index
    kinds = (files.scene_path, files.picture_path) if settings.size else (files.scene_path,)
    if all(path(settings.root, index, panel).exists() for path in kinds for panel in range(PANELS)):
        return True
    if multiprocessing.parent_process() is not None:
        jax.config.update("jax_platforms", "cpu")  # so that many processes do not share one accelerator
    named = attributes(settings.regime, files.SPLITS[index // files.first_index("validation")])
    placed = placing.place(problem, named, _random(settings.seed, settings.regime, index, 1))
    pictures.write(settings.root, problem, placed, named, settings.size, PANELS if settings.gpu else None)
    return False
