from pathlib import Path
from typing import NamedTuple

import numpy as np

from aloe.data.fields import field, read_json, within
from aloe.errors import InputError

SPLITS = ("train", "validation", "test")
UNLABELLED = ("test",)


class Scene(NamedTuple):
    scene_index: int
    lit_FxO: np.ndarray


def read(root: Path, split: str) -> list[Scene]:
    require_data(root)
    path = root / f"{split}.json"
    with within(path):
        scenes = field(read_json(path), "scenes", list)
        return [Scene(field(each, "scene_index", int), np.array(field(each, "lit", list))) for each in scenes]


def scene_indices(root: Path, split: str) -> list[int]:
    return [scene.scene_index for scene in read(root, split)]


def require_data(root: Path) -> None:
    if not root.is_dir():
        raise InputError(f"{root}: there is no such data folder; write one with launch/make_world.py --task=lamps.")
