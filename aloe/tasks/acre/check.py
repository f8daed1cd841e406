"""Counts what the folder of one regime holds and finds what is missing or broken, before any training."""

import collections
import functools
from collections.abc import Sequence
from pathlib import Path

from aloe.data.checking import check_files, check_store, common_size, picture_problem
from aloe.data.fields import within
from aloe.data.findings import Findings
from aloe.data.skipped import DEFAULT_LIMIT
from aloe.errors import InputError
from aloe.tasks.acre import files
from aloe.tasks.acre.pictures import lights
from aloe.tasks.acre.problems import LABELS, PANELS, TYPES, Problem
from aloe.tasks.acre.scenes import read_scene

_MAKE = "launch/make_world.py, run again without --without_videos, adds them to a world of our own"


def check(root: Path, decode: bool = False, limit: float = DEFAULT_LIMIT) -> Findings:
    """Counts everything in a data folder and finds what is missing or broken, with progress bars.

    Args:
      root: the folder of one regime.
      decode: whether to decode every picture instead of only reading its header.
      limit: fraction of a split's problems that may be missing or broken.

    Raises:
      InputError: the folder is missing, or is not the folder of one regime.
    """
    videos, scenes = files.find_videos(root), files.find_scenes(root)
    size = common_size(files.picture_path(root, index, 0) for index in sorted(videos))
    findings = Findings()
    for split in files.SPLITS:
        if not files.config_path(root, split).is_file() and split == "test":
            findings.notes.append(f"no {files.config_path(root, split)}: there is no {split} split")
            continue
        try:
            problems, wrong = files.parse_config(files.find_config(root, split), split)
        except InputError as error:
            findings.problems.append(str(error))
            continue
        findings.problems += wrong
        findings.counts[split] = count(problems)
        of_index = {problem.scene_index: problem for problem in problems}
        pictures = functools.partial(pictures_problem, root=root, size=size, decode=decode)
        told = functools.partial(scene_problem, root=root)
        for kind, found, problem_of, more in (("pictures", videos, pictures, _MAKE), ("scenes", scenes, told, "")):
            present = {index: of_index[index] for index in found if index in of_index}
            check_files(split, kind, list(of_index), present, problem_of, limit, findings, more)
        for path in sorted(root.glob(f"latents/*/{split}")):
            check_store(split, path, list(of_index), PANELS, limit, findings)
    return findings


def count(problems: Sequence[Problem]) -> dict[str, int]:
    """Row name → count; every row is present, even if zero, so that the splits line up."""
    queries = [query for problem in problems for query in problem.queries]
    labels = collections.Counter(query.label for query in queries)
    kinds = collections.Counter(query.type for query in queries)
    counts = {"problems": len(problems), "queries": len(queries)}
    counts |= {f"- {name}": labels[label] for label, name in enumerate(LABELS)}
    return counts | {f"- {kind}": kinds[kind] for kind in TYPES}


def pictures_problem(problem: Problem, root: Path, size: tuple[int, int] | None, decode: bool) -> str | None:
    """What is wrong with the ten pictures of a problem: one is missing, broken, or differs in size from the others."""
    paths = [files.picture_path(root, problem.scene_index, panel) for panel in range(PANELS)]
    absent = files.missing_panels(paths)
    if absent:
        return absent
    return next(filter(None, (picture_problem(path, size, decode) for path in paths)), None)


def scene_problem(problem: Problem, root: Path) -> str | None:
    """What is wrong with the ten scene files of a problem: one is missing, broken, or inconsistent with the config."""
    paths = [files.scene_path(root, problem.scene_index, panel) for panel in range(PANELS)]
    absent = files.missing_panels(paths)
    if absent:
        return absent
    try:
        looks: dict[int, tuple[str, ...]] = {}
        for path, light, objects in zip(paths, lights(problem), problem.panels, strict=True):
            scene = read_scene(path)
            with within(path):
                if scene.light != light:
                    raise InputError(f"field 'light_state' is {scene.light!r}, in the config {light!r}")
                if len(scene.objects) != len(objects):
                    raise InputError(f"shows {len(scene.objects)} objects, and the config has {len(objects)}")
                for each, look in zip(objects, scene.objects, strict=True):
                    if looks.setdefault(each, look) != look:
                        raise InputError(f"object {each} is {look}, and {looks[each]} in another panel of the problem")
    except InputError as error:
        return f"{error}; is it the scene of another problem?"
    return None
