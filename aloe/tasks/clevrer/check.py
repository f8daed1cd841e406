"""Counts what a CLEVRER data folder holds, and finds what is missing or broken, before any training."""

import collections
import functools
from collections.abc import Sequence
from pathlib import Path

from aloe.data.checking import check_files, check_store, common_size, video_problem, video_size
from aloe.data.findings import Findings
from aloe.data.skipped import DEFAULT_LIMIT
from aloe.errors import InputError
from aloe.tasks.clevrer import files
from aloe.tasks.clevrer.annotations import FRAMES
from aloe.tasks.clevrer.questions import SUBTYPES, TYPES, VideoQuestions

_MAKE = "launch/make_world.py, run again without --without_videos, adds them to a world of our own"


def check(root: Path, decode: bool = False, limit: float = DEFAULT_LIMIT) -> Findings:
    """Counts everything in a data folder and finds what is missing or broken, with progress bars.

    Args:
      root: the data folder.
      decode: whether to decode every video, rather than only read its header.
      limit: share of the videos of a split that may be missing or broken.

    Raises:
      InputError: the folder is missing or empty, or two files have the same index.
    """
    videos, annotations = files.find_videos(root), files.find_annotations(root)
    size = common_size((videos[index] for index in sorted(videos)), video_size)
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
        whole = functools.partial(video_problem, size=size, decode=decode, frames=FRAMES)
        check_files(split, "videos", indices, videos, whole, limit, findings, more=_MAKE)
        if split not in files.UNLABELLED:
            check_files(split, "annotations", indices, annotations, _annotation_problem, limit, findings)
        for path in sorted(root.glob(f"latents/*/{split}")):
            check_store(split, path, indices, FRAMES, limit, findings)
    return findings


def _count_questions(scenes: Sequence[VideoQuestions]) -> dict[str, int]:
    """Row name → count; every row is present, even if zero, so that the splits align."""
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


def _annotation_problem(path: Path) -> str | None:
    try:
        files.read_annotation(path)
    except InputError as error:
        return str(error)
    return None
