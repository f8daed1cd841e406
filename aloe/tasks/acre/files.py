"""ACRE's official files of one regime, such as ACRE_IID/: their layout, and how to read them.

    <root>/config/{train,val,test}.json                  the problems of a split, in order
    <root>/images/ACRE_{train,val,test}_000012_07.png    problem 12, panel 7: RGBA
    <root>/scenes/ACRE_{train,val,test}_000012_07.json   what the panel shows
    <root>/latents/<encoder>/<split>/                    latents stores (aloe/data/latents.py)

The three regimes are three datasets: a model is trained and tested on one of them. To the rest of the project a
problem is a video of ten frames, and its scene index is its position in its split, counted from 0 in train, from a
million in validation ("val" in the official names), and from two million in test.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

from aloe.data.fields import read_json, refuse, within
from aloe.errors import InputError
from aloe.tasks.acre.objects import REGIMES
from aloe.tasks.acre.problems import PANELS, Problem, parse_problems

SPLITS = ("train", "validation", "test")
UNLABELLED: tuple[str, ...] = ()
FRAMES = PANELS

_OFFICIAL = {"train": "train", "validation": "val", "test": "test"}
_APART = 1_000_000  # official names number problems with six digits


def first_index(split: str) -> int:
    """Scene index of the first problem of a split."""
    return _APART * SPLITS.index(split)


def official_name(scene_index: int) -> str:
    """The prefix of a problem's file names, such as ACRE_val_000012 for 1000012."""
    split, place = divmod(scene_index, _APART)
    return f"ACRE_{_OFFICIAL[SPLITS[split]]}_{place:06d}"


def config_path(root: Path, split: str) -> Path:
    return root / "config" / f"{_OFFICIAL[split]}.json"


def picture_path(root: Path, scene_index: int, panel: int) -> Path:
    return root / "images" / f"{official_name(scene_index)}_{panel:02d}.png"


def scene_path(root: Path, scene_index: int, panel: int) -> Path:
    return root / "scenes" / f"{official_name(scene_index)}_{panel:02d}.json"


def video_path(root: Path, scene_index: int) -> Path:
    """The ten pictures of a problem as one path, which `aloe.data.video` reads as a video of ten frames."""
    return root / "images" / f"{official_name(scene_index)}_%02d.png"


def find_videos(root: Path) -> dict[int, Path]:
    """Scene index → `video_path`, for all problems with at least one picture."""
    require_data(root)
    return {index: video_path(root, index) for index in _found(root / "images", ".png")}


def find_annotations(root: Path) -> dict[int, Path]:
    """Scene index → its ten scene files as one path with %02d for the panel, for problems with at least one of them."""
    return {index: root / "scenes" / f"{official_name(index)}_%02d.json" for index in find_scenes(root)}


def find_scenes(root: Path) -> list[int]:
    """Scene indices of the problems with at least one scene file."""
    require_data(root)
    return sorted(_found(root / "scenes", ".json"))


def read_problems(root: Path, split: str) -> list[Problem]:
    """Reads all problems of a split, in order, and checks every label against what follows from the context.

    Raises:
      InputError: the config is missing, does not parse, or has invalid entries; the message names the file and the
        first few entries, each by problem, panel and field.
    """
    path = find_config(root, split)
    problems, wrong = parse_config(path, split)
    refuse(wrong, f"Mend these entries, or unpack {path.name} anew.")
    return problems


def parse_config(path: Path, split: str) -> tuple[list[Problem], list[str]]:
    """The valid problems of a config, and what is wrong with the others, each message naming the file.

    Raises:
      InputError: the file does not parse, or is not a list of problems.
    """
    entries = read_json(path)
    with within(path):
        problems, wrong = parse_problems(entries, first_index(split))
    return problems, [f"{path}: {each}" for each in wrong]


def find_config(root: Path, split: str) -> Path:
    """The path of a split's config. Raises InputError if it is missing; the message says how to get one."""
    require_data(root)
    path = config_path(root, split)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file. {_mend(root)}")
    return path


def scene_indices(root: Path, split: str) -> list[int]:
    """Scene indices of a split's problems, in order. Raises the same errors as `read_problems`."""
    return [problem.scene_index for problem in read_problems(root, split)]


def require_data(root: Path) -> None:
    """Checks the data folder.

    Raises:
      InputError: it is missing, or is not the folder of one regime; the message says how to get one.
    """
    if not root.is_dir():
        raise InputError(f"{root}: there is no such data folder. {_mend(root)}")
    regimes = [name for name in REGIMES if (root / f"ACRE_{name}").is_dir()]
    if regimes and not (root / "config").is_dir():
        raise InputError(
            f"{root}: holds the regimes {', '.join(regimes)}; name one of them: --data={root}/ACRE_{regimes[0]}"
        )
    if not (root / "config").is_dir():
        raise InputError(f"{root}: no folder config/ here. {_mend(root)}")


def _found(folder: Path, suffix: str) -> set[int]:
    """Scene indices in the file names of a folder; files with other names are ignored."""
    names = {path.stem[:-3] for path in folder.glob(f"ACRE_*_*_*{suffix}")} if folder.is_dir() else set()
    return {index for index in map(_scene_index, names) if index is not None}


@functools.cache
def _splits() -> dict[str, int]:
    return {f"ACRE_{_OFFICIAL[split]}_": first_index(split) for split in SPLITS}


def _scene_index(name: str) -> int | None:
    start, digits = name[:-6], name[-6:]
    return _splits()[start] + int(digits) if start in _splits() and digits.isdecimal() else None


def missing_panels(paths: Sequence[Path]) -> str | None:
    """Describes which panel files are missing; None if none is."""
    absent = [path for path in paths if not path.is_file()]
    if not absent:
        return None
    return f"{absent[0]}: missing, as are {len(absent) - 1} other panels of the problem; unpack its archive anew"


def _mend(root: Path) -> str:
    return (
        f"A small set of our own: python launch/make_world.py --task=acre --videos=200 --out={root.parent}, for "
        f"--data={root.parent}/ACRE_IID. The official set unpacks to ACRE_IID/config/train.json, "
        "ACRE_IID/images/ACRE_train_000000_00.png, …, ACRE_IID/scenes/ACRE_train_000000_00.json, …"
    )
