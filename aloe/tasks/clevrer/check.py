"""Counts what a CLEVRER data folder holds, and finds what is missing or broken, before any training."""

import collections
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from aloe.data import latents, video
from aloe.data.findings import Findings
from aloe.data.parallel import ordered_map
from aloe.data.skipped import DEFAULT_LIMIT, Skipped
from aloe.errors import InputError
from aloe.progress_bar import progress_bar
from aloe.tasks.clevrer import files
from aloe.tasks.clevrer.annotations import FRAMES
from aloe.tasks.clevrer.questions import SUBTYPES, TYPES, VideoQuestions

_MEND = "unpack its archive anew, or run launch/make_world.py again if the world is our own"


def check(root: Path, decode: bool = False, limit: float = DEFAULT_LIMIT) -> Findings:
    """Counts everything in a data folder and finds what is missing or broken, with progress bars.

    Args:
      root: the data folder.
      decode: whether to decode every video, rather than to read its header.
      limit: share of the videos of a split that may be missing or broken.

    Raises:
      InputError: the folder is missing or empty, or two files have one index.
    """
    videos, annotations = files.find_videos(root), files.find_annotations(root)
    findings = Findings()
    for split in files.SPLITS:
        if split in files.UNLABELLED and not files.question_files(root, split):
            findings.notes.append(f"no {split}.json: there is no {split} split")
            continue
        try:
            scenes, problems = files.parse_question_file(files.find_questions(root, split), split)
        except InputError as error:
            findings.problems.append(str(error))
            continue
        findings.problems += problems
        findings.counts[split] = _count_questions(scenes)
        indices = [scene.scene_index for scene in scenes]
        video_problem = functools.partial(_video_problem, decode=decode)
        _check_files(split, "videos", indices, videos, video_problem, limit, findings)
        if split not in files.UNLABELLED:
            _check_files(split, "annotations", indices, annotations, _annotation_problem, limit, findings)
        for path in sorted(root.glob(f"latents/*/{split}")):
            _check_store(split, path, indices, limit, findings)
    return findings


def _count_questions(scenes: Sequence[VideoQuestions]) -> dict[str, int]:
    """Row name → count; every row is there, also where it is zero, so that the splits align."""
    questions = [question for scene in scenes for question in scene.questions]
    choices = [choice for question in questions for choice in question.choices]
    types = collections.Counter(question.type for question in questions)
    subtypes = collections.Counter(question.subtype for question in questions if question.is_descriptive)
    counts = {"videos asked about": len(scenes), "questions": len(questions)}
    for kind in TYPES:
        counts[kind] = types[kind]
        if kind == "descriptive":
            counts |= {f"- {subtype}": subtypes[subtype] for subtype in SUBTYPES}
            counts["- no subtype"] = subtypes[None]
    counts["options"] = len(choices)
    counts["- correct"] = sum(choice.correct is True for choice in choices)
    counts["multiple choice without options"] = sum(not q.is_descriptive and not q.choices for q in questions)
    return counts


def _check_files(
    split: str,
    kind: str,
    indices: Sequence[int],
    paths: Mapping[int, Path],
    problem_of: Callable[[Path], str | None],
    limit: float,
    findings: Findings,
) -> None:
    """Checks the videos, or the annotations, of one split: is there one for each index, and is it whole?"""
    present = [index for index in indices if index in paths]
    findings.counts[split][kind] = len(present)
    if not present:
        note = f"no {kind} of the {split} split were found; training on a latents store needs none"
        if kind == "videos":
            note += " (launch/make_world.py, run again without --without_videos, adds them to a world of our own)"
        findings.notes.append(note)
        return
    skipped = Skipped(f"{kind} of the {split} split", len(indices), limit)
    for index in indices:
        if index not in paths:
            skipped.add(index, f"no {kind[:-1]} of scene_index {index} was found; {_MEND}")
    problems = ordered_map(problem_of, [paths[index] for index in present])
    for index, problem in zip(present, progress_bar(problems, skipped.what, len(present), unit="file"), strict=True):
        if problem:
            skipped.add(index, problem)
    findings.counts[split][f"{kind} missing or broken"] = len(skipped)
    _report(skipped, findings)


def _check_store(split: str, path: Path, indices: Sequence[int], limit: float, findings: Findings) -> None:
    """Checks that a latents store can be opened and has the videos of the split."""
    name = f"latents/{path.parent.name}"
    try:
        store = latents.open(path)
        if store.shape[1] != FRAMES:
            raise InputError(f"{path}: has {store.shape[1]} frames a video; it must have {FRAMES}: encode anew")
        written = set(store.scene_indices.tolist()) - set(store.missing().tolist())
    except InputError as error:
        findings.problems.append(str(error))
        return
    findings.counts[split][name] = len(written)
    skipped = Skipped(f"videos of the {split} split in {path}", len(indices), limit)
    for index in indices:
        if index not in written:
            skipped.add(index, f"scene_index {index} has no latents; launch/encode.py encodes what is missing")
    _report(skipped, findings)


def _report(skipped: Skipped, findings: Findings) -> None:
    if skipped:
        (findings.problems if skipped.too_many else findings.notes).append(skipped.summary(shown=50))


def _video_problem(path: Path, decode: bool) -> str | None:
    try:
        video.probe(path, decode, at_least=FRAMES)
    except InputError as error:
        return str(error)
    return None


def _annotation_problem(path: Path) -> str | None:
    try:
        files.read_annotation(path)
    except InputError as error:
        return str(error)
    return None
