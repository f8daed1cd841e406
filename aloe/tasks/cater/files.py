"""CATER's official files: their layout, and how to read the lists.

    <root>/all_actions/videos/CATER_new_000012.avi               from the static camera
    <root>/all_actions/scenes/CATER_new_000012.json
    <root>/all_actions/lists/localize/{train,val,train_subsetT,train_subsetV}.txt
    <root>/all_actions_cameramotion/…                            the same from the moving camera
    <root>/latents/<encoder>/<split>/                            latents stores (aloe/data/latents.py)

<root> may also be the folder of one variant, such as DIR/max2action, which is then used together with its twin
DIR/max2action_cameramotion. One of the two cameras may be missing. Lists of other tasks and metadata.pkl are not read:
a pickle can run arbitrary code. A video's scene index is the number in its name, plus a million for the moving camera.
The official validation list is also the test set; train_subsetT and train_subsetV partition the training list.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from aloe.data.fields import refuse
from aloe.data.numbered import find_numbered
from aloe.errors import InputError, nearest
from aloe.tasks.cater import grid
from aloe.tasks.cater.annotations import FRAMES as FRAMES

SPLITS = ("train", "validation")
UNLABELLED: tuple[str, ...] = ()
CAMERAS = ("static", "moving")

LISTS = {"train": "train", "validation": "val"}
TUNING_LISTS = {"train": "train_subsetT", "validation": "train_subsetV"}  # both parts of the training split

STATIC_FOLDER, MOVING_SUFFIX = "all_actions", "_cameramotion"
_APART = 1_000_000
_NAME = r"(?:CATER|CLEVR)_new_(\d{6})"
_VIDEO, _SCENE = re.compile(_NAME + r"\.avi"), re.compile(_NAME + r"\.json")


class Video(NamedTuple):
    """A line of a list: a video, and the snitch's cell at its end."""

    scene_index: int
    label: int

    @property
    def camera(self) -> str:
        return camera_of(self.scene_index)


def first_index(camera: str) -> int:
    """Scene index of the camera's video number 0."""
    return _APART * CAMERAS.index(camera)


def camera_of(scene_index: int) -> str:
    return CAMERAS[scene_index // _APART]


def video_name(scene_index: int) -> str:
    """The official file name of a video."""
    return f"CATER_new_{scene_index % _APART:06d}.avi"


def camera_folders(root: Path) -> dict[str, Path]:
    """Camera → the folder of its variant, only for cameras that have lists.

    Raises:
      InputError: there is no such folder, or it has lists for neither camera.
    """
    if not root.is_dir():
        raise InputError(f"{root}: there is no such data folder. {_mend(root)}")
    is_variant = (root / "lists").is_dir()
    static = root.with_name(root.name.removesuffix(MOVING_SUFFIX)) if is_variant else root / STATIC_FOLDER
    folders = {"static": static, "moving": static.with_name(static.name + MOVING_SUFFIX)}
    found = {camera: folder for camera, folder in folders.items() if (folder / "lists" / "localize").is_dir()}
    if not found:
        others = sorted(path.parent.name for path in root.glob("*/lists"))
        hint = f" For {', '.join(others)} name its folder: --data={root / others[0]}." if others else ""
        raise InputError(f"{root}: no folder {static.name}/lists/localize here.{hint} {_mend(root)}")
    return found


def list_path(folder: Path, name: str) -> Path:
    """The path of one camera's list, such as train_subsetT."""
    return folder / "lists" / "localize" / f"{name}.txt"


def find_videos(root: Path) -> dict[int, Path]:
    """Scene index → video file, for both cameras. Raises InputError if `root` has no lists or files share an index."""
    return _found(root, "videos", _VIDEO)


def find_annotations(root: Path) -> dict[int, Path]:
    """Scene index → scene file, for both cameras. Raises InputError if `root` has no lists or files share an index."""
    return _found(root, "scenes", _SCENE)


def _found(root: Path, below: str, name: re.Pattern[str]) -> dict[int, Path]:
    return {
        first_index(camera) + number: path
        for camera, folder in camera_folders(root).items()
        for number, path in find_numbered(folder / below, name).items()
    }


def read_videos(root: Path, split: str, *, tuning: bool = False, cameras: Sequence[str] = CAMERAS) -> list[Video]:
    """The videos of a split, in the order of its lists, the static camera's first.

    Args:
      root: the data folder.
      split: one of SPLITS.
      tuning: whether to read the lists that partition the training split instead.
      cameras: the cameras to include; one whose folder is missing contributes no videos.

    Raises:
      InputError: a list is missing, empty or has invalid lines; the message names the file and the first few lines.
    """
    if split not in SPLITS:
        raise InputError(f"{root}: no {split} split; there are {', '.join(SPLITS)}{nearest(split, SPLITS)}.")
    videos: list[Video] = []
    for camera, folder in camera_folders(root).items():
        if camera not in cameras:
            continue
        path = list_path(folder, (TUNING_LISTS if tuning else LISTS)[split])
        of_camera, wrong = parse_list(path, camera)
        refuse(wrong, "Mend these lines, or unpack lists.zip anew.")
        videos += of_camera
    return videos


def parse_list(path: Path, camera: str) -> tuple[list[Video], list[str]]:
    """The valid lines of a list, and what is wrong with the others, each message naming file and line.

    Raises:
      InputError: the file is missing, not text, or empty.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}. Unpack lists.zip anew.") from error
    videos, wrong, seen = [], [], set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            video = _parse_line(line, camera)
            if video.scene_index in seen:
                raise InputError(f"{video_name(video.scene_index)} stands in the list twice")
            seen.add(video.scene_index)
            videos.append(video)
        except InputError as error:
            wrong.append(f"{path}: line {number}: {error}")
    if not videos and not wrong:
        raise InputError(f"{path}: the list is empty; unpack lists.zip anew.")
    return videos, wrong


def _parse_line(line: str, camera: str) -> Video:
    words = line.split()
    if len(words) != 2:
        raise InputError(f"{line.strip()[:60]!r} must be the name of a video and its label: CATER_new_000123.avi 14")
    name, label = words
    match = _VIDEO.fullmatch(name.rpartition("/")[2])  # locally generated lists have paths
    if not match:
        raise InputError(f"{name[:60]!r} names no file; the name must be as CATER_new_000123.avi")
    if "," in label:
        raise InputError(f"the label is {label[:60]}, of another task: localize has one cell a video")
    if not label.isdecimal() or int(label) >= grid.CELLS:
        raise InputError(f"the label is {label[:60]}; it must be a cell, 0 to {grid.CELLS - 1}")
    return Video(first_index(camera) + int(match[1]), int(label))


def scene_indices(root: Path, split: str) -> list[int]:
    """Scene indices of a split's videos, in order. Raises the same errors as `read_videos`."""
    return [video.scene_index for video in read_videos(root, split)]


def require_data(root: Path) -> None:
    """Raises InputError if the data folder is missing or is not CATER's; the message says how to get one."""
    camera_folders(root)


def _mend(root: Path) -> str:
    return (
        f"A small set of our own: python launch/make_world.py --task=cater --videos=200 --out={root}. The official set "
        f"unpacks to {root}/all_actions/videos/CATER_new_000000.avi, …, {root}/all_actions/scenes/…, "
        f"{root}/all_actions/lists/localize/train.txt and the same in {root}/all_actions_cameramotion."
    )
