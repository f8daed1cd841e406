"""CLEVR's official files: where they are, and how to read them.

    <root>/images/train/CLEVR_train_000012.png           in train, val and test; RGBA
    <root>/questions/CLEVR_train_questions.json          one per split; without programs and answers in test
    <root>/scenes/CLEVR_train_scenes.json                what its images show; none for test
    <root>/masks/train/CLEVR_train_000012.png            masks from elsewhere (proposals.py)
    <root>/latents/<encoder>/<split>/                    latents stores (aloe/data/latents.py)

A world of our own also has one file per scene, from which its exact masks are rendered:

    <root>/scenes/train/CLEVR_train_000012.json          train and val; test's are in truth/, as no model may read them

To the rest of the project an image is a video of one frame. Its scene index is its number in its split, counted from 0
in train, from a million in validation ("val" in the official names), and from two million in test.
"""

import re
from pathlib import Path
from typing import Any

from aloe.data.fields import field, read_json, refuse, within
from aloe.errors import InputError
from aloe.tasks.clevr.questions import ImageQuestions, parse_questions
from aloe.tasks.clevr.scenes import Scene, parse_scene

SPLITS = ("train", "validation", "test")
UNLABELLED = ("test",)
FRAMES = 1

OFFICIAL = {"train": "train", "validation": "val", "test": "test"}
_APART = 1_000_000  # official names number images with six digits
_NAME = re.compile(r"CLEVR_([a-z]+)_(\d{6})")


def first_index(split: str) -> int:
    """Scene index of the first image of a split."""
    return _APART * SPLITS.index(split)


def official_name(scene_index: int) -> str:
    """The base name of an image's files, such as CLEVR_val_000012 for 1000012."""
    split, number = divmod(scene_index, _APART)
    return f"CLEVR_{OFFICIAL[SPLITS[split]]}_{number:06d}"


def split_of(scene_index: int) -> str:
    return SPLITS[scene_index // _APART]


def questions_path(root: Path, split: str) -> Path:
    return root / "questions" / f"CLEVR_{OFFICIAL[split]}_questions.json"


def scenes_path(root: Path, split: str) -> Path:
    return root / "scenes" / f"CLEVR_{OFFICIAL[split]}_scenes.json"


def image_path(root: Path, scene_index: int) -> Path:
    return root / "images" / OFFICIAL[split_of(scene_index)] / f"{official_name(scene_index)}.png"


def scene_path(root: Path, scene_index: int) -> Path:
    """The file of one scene, in a world of our own."""
    split = split_of(scene_index)
    folder = root / "truth" if split in UNLABELLED else root / "scenes"
    return folder / OFFICIAL[split] / f"{official_name(scene_index)}.json"


def find_videos(root: Path) -> dict[int, Path]:
    """Scene index → image, for all that exist; an image is read as a video of one frame."""
    require_data(root)
    return find_named(root / "images", ".png")


def find_annotations(root: Path) -> dict[int, Path]:
    """Scene index → the file of its scene; only worlds of our own have them."""
    require_data(root)
    return find_named(root / "scenes", ".json") | find_named(root / "truth", ".json")


def find_named(folder: Path, suffix: str) -> dict[int, Path]:
    """Scene index → file, for the files in <folder>/{train,val,test} that are named like the images."""
    found = {}
    for split, official in OFFICIAL.items():
        for path in sorted((folder / official).glob(f"CLEVR_{official}_*{suffix}")):
            if match := _NAME.fullmatch(path.stem):
                found[first_index(split) + int(match[2])] = path
    return found


def read_questions(root: Path, split: str) -> list[ImageQuestions]:
    """Reads all questions of a split, by image in the order of the file, and checks every field and every word.

    Raises:
      InputError: the file is missing, does not parse, or has invalid entries; the message names the file and the first
        few entries, each by position and field.
    """
    path = find_questions(root, split)
    images, wrong = parse_question_file(path, split, read_entries(path))
    refuse(wrong, f"Mend these entries, or unpack {path.name} anew.")
    return images


def read_entries(path: Path) -> Any:
    """The field "questions" of a question file."""
    record = read_json(path)
    with within(path):
        return field(record, "questions", list)


def parse_question_file(path: Path, split: str, entries: Any) -> tuple[list[ImageQuestions], list[str]]:
    """The images with their valid questions, and what is wrong with the other questions, prefixed with the file.

    Raises:
      InputError: there are no questions.
    """
    name = f"CLEVR_{OFFICIAL[split]}_{{:06d}}.png"
    with within(path):
        images, wrong = parse_questions(entries, name, first_index(split), labelled=split not in UNLABELLED)
    return images, [f"{path}: {each}" for each in wrong]


def find_questions(root: Path, split: str) -> Path:
    """The question file of a split. Raises InputError if it is missing; the message says how to get one."""
    require_data(root)
    path = questions_path(root, split)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file. {_mend(root)}")
    return path


def scene_indices(root: Path, split: str) -> list[int]:
    """The images of a split that have questions, in the order of the file. Same errors as `read_questions`."""
    return [image.scene_index for image in read_questions(root, split)]


def read_scenes(root: Path, split: str) -> dict[int, Scene]:
    """Scene index → scene, for a split.

    Raises:
      InputError: the file is missing, does not parse, or has an invalid scene; the message names position and field.
    """
    path = scenes_path(root, split)
    if not path.is_file():
        none = "; the official set has none of this split either" if split in UNLABELLED else f". {_mend(root)}"
        raise InputError(f"{path}: there is no such file{none}")
    scenes = {}
    record = read_json(path)
    with within(path):
        for place, entry in enumerate(field(record, "scenes", list)):
            with within(f"scene {place}"):
                scene = parse_scene(entry)
            scenes[first_index(split) + scene.image_index] = scene
    return scenes


def require_data(root: Path) -> None:
    """Raises:
    InputError: the data folder is missing, or is not a CLEVR data set; the message says how to get one.
    """
    if not root.is_dir():
        raise InputError(f"{root}: there is no such data folder. {_mend(root)}")
    if not (root / "questions").is_dir():
        raise InputError(f"{root}: no folder questions/ here. {_mend(root)}")


def _mend(root: Path) -> str:
    return (
        f"A small set of our own: python launch/make_world.py --task=clevr --videos=1000 --out={root}. The official "
        f"set unpacks to {root}/images/train/CLEVR_train_000000.png, …, {root}/questions/CLEVR_train_questions.json, "
        f"…, {root}/scenes/CLEVR_train_scenes.json, …"
    )
