"""Counts what a data folder holds, and finds what is missing or broken, before any training."""

import collections
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aloe.data.checking import COLORED, check_files, check_store, common_size, picture_problem
from aloe.data.fields import within
from aloe.data.findings import Findings
from aloe.data.skipped import DEFAULT_LIMIT
from aloe.errors import InputError
from aloe.progress_bar import progress_bar
from aloe.tasks.clevr import executor, files, proposals
from aloe.tasks.clevr.programs import FAMILIES, parse_program
from aloe.tasks.clevr.questions import ImageQuestions
from aloe.tasks.clevr.scenes import Scene

_MAKE = "launch/make_world.py, run again without --without_videos, adds them to a world of our own"


def check(root: Path, decode: bool = False, limit: float = DEFAULT_LIMIT) -> Findings:
    """Counts everything in a data folder and finds what is missing or broken, with progress bars.

    Args:
      root: the data folder.
      decode: whether to decode every image, rather than only read its header.
      limit: maximum share of a split's images that may be missing or broken.

    Raises:
      InputError: the folder is missing, or is not a CLEVR data set.
    """
    images, masks = files.find_videos(root), files.find_named(root / "masks", ".png")
    size = common_size(images[index] for index in sorted(images))
    findings = Findings()
    for split in files.SPLITS:
        if not files.questions_path(root, split).is_file() and split in files.UNLABELLED:
            findings.notes.append(f"no {files.questions_path(root, split)}: there is no {split} split")
            continue
        try:
            path = files.find_questions(root, split)
            entries = files.read_entries(path)
            asked_about, wrong = files.parse_question_file(path, split, entries)
        except InputError as error:
            findings.problems.append(str(error))
            continue
        findings.problems += wrong
        findings.counts[split] = count(asked_about)
        if split not in files.UNLABELLED:
            check_answers(root, split, entries, findings)
        indices = [image.scene_index for image in asked_about]
        for kind, found, modes, more in (("images", images, COLORED, _MAKE), ("masks", masks, proposals.MODES, "")):
            if kind == "images" or masks:
                whole = functools.partial(picture_problem, size=size, decode=decode, modes=modes)
                check_files(split, kind, indices, found, whole, limit, findings, more, files.official_name)
        for store in sorted(root.glob(f"latents/*/{split}")):
            check_store(split, store, indices, files.FRAMES, limit, findings)
    return findings


def count(images: Sequence[ImageQuestions]) -> dict[str, int]:
    """Row name → count; rows that are zero are included, so that the splits align."""
    questions = [question for image in images for question in image.questions]
    families = collections.Counter(question.family for question in questions)
    counts = {"images asked about": len(images), "questions": len(questions)}
    return counts | {f"- {family}": families[family] for family in FAMILIES}


def check_answers(root: Path, split: str, entries: Sequence[Any], findings: Findings) -> None:
    """Runs the program of every question on the scene of its image and compares the answers.

    Without a scene file there is nothing to compare, which is noted; questions without a program are skipped.
    """
    path = files.questions_path(root, split)
    if not files.scenes_path(root, split).is_file():
        findings.notes.append(f"no {files.scenes_path(root, split)}: the answers of the {split} split are not checked")
        return
    try:
        scenes = files.read_scenes(root, split)
    except InputError as error:
        findings.problems.append(str(error))
        return
    checked = 0
    for place, entry in enumerate(progress_bar(entries, f"answers of the {split} split", unit="question")):
        if isinstance(entry, dict) and entry.get("program") and isinstance(entry.get("image_index"), int):
            checked += 1
            try:
                with within(f"{path}: question {place}"):
                    check_answer(entry, scenes, files.first_index(split))
            except InputError as error:
                findings.problems.append(str(error))
    findings.counts[split]["programs run"] = checked


def check_answer(entry: Mapping[str, Any], scenes: Mapping[int, Scene], first_index: int) -> None:
    """Raises InputError if the program is invalid, its image has no scene, or its answer differs from the file's."""
    index = first_index + entry["image_index"]
    if index not in scenes:
        raise InputError(f"field 'image_index' is {entry['image_index']}, and the scene file has no such image")
    with within("program"):
        found = executor.answer(parse_program(entry["program"]), scenes[index])
    if found != entry.get("answer"):
        raise InputError(
            f"field 'answer' is {entry.get('answer')!r}, and the program gives {found!r} on the scene; unpack both "
            "files anew"
        )
