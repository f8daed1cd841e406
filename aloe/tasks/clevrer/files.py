"""CLEVRER's official files: locating and reading them.

    <root>/{train,validation,test}.json                          questions; or in a folder of <root>, such as questions/
    <root>/**/video_00012.mp4, <root>/**/annotation_00012.json   by index, wherever the archives were unpacked
    <root>/**/proposal_00012.json                                likewise (proposals.py)
    <root>/latents/<encoder>/<split>/                            latents stores (aloe/data/latents.py)

The question files define the splits; folder names, list positions and split sizes carry no meaning.
"""

import re
from pathlib import Path

from aloe.data.fields import read_json, within
from aloe.data.numbered import find_numbered
from aloe.errors import InputError
from aloe.tasks.clevrer.annotations import FRAMES, Annotation, parse_annotation
from aloe.tasks.clevrer.questions import VideoQuestions, parse_questions

SPLITS = ("train", "validation", "test")
UNLABELLED = ("test",)

_VIDEO = re.compile(r"video_(\d{5,})\.mp4")
_ANNOTATION = re.compile(r"annotation_(\d{5,})\.json")
_PROPOSAL = re.compile(r"proposal_(\d{5,})\.json")


def find_questions(root: Path, split: str) -> Path:
    """The question file of a split: <root>/<split>.json, or in a folder directly below.

    Raises:
      InputError: no such folder, no such file, or two of them.
    """
    require_data(root)
    found = question_files(root, split)
    if len(found) > 1:
        raise InputError(f"{found[0]} and {found[1]}: two question files of the {split} split; remove one")
    if not found:
        raise InputError(f"{root}: no {split}.json here or in a folder below. {_mend(root)}")
    return found[0]


def question_files(root: Path, split: str) -> list[Path]:
    """All candidates for the question file of a split; there should be one, or none if the split is absent."""
    return [path for path in (root / f"{split}.json", *sorted(root.glob(f"*/{split}.json"))) if path.is_file()]


def find_videos(root: Path) -> dict[int, Path]:
    """Scene index → video file, for all splits.

    Raises:
      InputError: no such folder, or two files of one index.
    """
    require_data(root)
    return find_numbered(root, _VIDEO)


def find_annotations(root: Path) -> dict[int, Path]:
    """Scene index → annotation file, for all splits.

    Raises:
      InputError: no such folder, or two files of one index.
    """
    require_data(root)
    return find_numbered(root, _ANNOTATION)


def find_proposals(root: Path) -> dict[int, Path]:
    """Scene index → file of proposals, for all splits.

    Raises:
      InputError: no such folder, or two files of one index.
    """
    require_data(root)
    return find_numbered(root, _PROPOSAL)


def read_questions(root: Path, split: str) -> list[VideoQuestions]:
    """Reads all questions of a split in file order, checking every field and every word.

    Raises:
      InputError: the file is missing, does not parse, or has invalid entries; the message names the file and the
        first few, each by scene index, question id and field.
    """
    path = find_questions(root, split)
    scenes, problems = parse_question_file(path, split)
    if problems:
        more = f"\n… and {len(problems) - 5} more; launch/check_data.py lists them" if len(problems) > 5 else ""
        raise InputError("\n".join(problems[:5]) + more + f"\nMend these entries, or unpack {path.name} anew.")
    return scenes


def parse_question_file(path: Path, split: str) -> tuple[list[VideoQuestions], list[str]]:
    """The valid entries of a question file, and the problems of the others (`parse_questions`), each with the file.

    Raises:
      InputError: the file does not parse, or is not a list with an entry for each video.
    """
    entries = read_json(path)
    with within(path):
        scenes, problems = parse_questions(entries, labelled=split not in UNLABELLED)
    return scenes, [f"{path}: {problem}" for problem in problems]


def scene_indices(root: Path, split: str) -> list[int]:
    """The videos of a split, in the order of its question file. Same errors as `read_questions`."""
    return [scene.scene_index for scene in read_questions(root, split)]


def read_annotation(path: Path, frames: int = FRAMES) -> Annotation:
    """Reads the annotation of one video.

    Raises:
      InputError: it does not parse, a field is wrong, it does not have `frames` frames, or it is for a different video
        than its name says. The message names the file, the place and the field.
    """
    record = read_json(path)
    with within(path):
        annotation = parse_annotation(record, frames)
        name = _ANNOTATION.fullmatch(path.name)
        if name and int(name[1]) != annotation.scene_index:
            raise InputError(f"field 'scene_index' is {annotation.scene_index}, in the file's name {int(name[1])}")
        return annotation


def require_data(root: Path) -> None:
    """Raises:
    InputError: the data folder is missing or empty; the message says how to get one.
    """
    if not root.is_dir():
        raise InputError(f"{root}: there is no such data folder. {_mend(root)}")
    if not any(root.iterdir()):
        raise InputError(f"{root}: the data folder is empty. {_mend(root)}")


def _mend(root: Path) -> str:
    return (
        f"A small set of our own: python launch/make_world.py --task=clevrer --videos=200 --out={root}. The official "
        f"set (http://clevrer.csail.mit.edu) unpacks to {root}/video_00000-01000/video_00000.mp4, …, "
        f"{root}/annotation_00000-01000/annotation_00000.json, …, {root}/train.json, {root}/validation.json."
    )
