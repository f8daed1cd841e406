"""Small worlds of our own, and a configuration small enough to train on one in a test."""

import pytest

from aloe import config
from aloe.data import masks
from aloe.perception.fill import fill
from aloe.perception.pixels import frame_numbers, frames_folder
from aloe.tasks.clevr import files, world
from aloe.tasks.clevr import masks as exact
from aloe.tasks.clevr.oracle import Encoder

SMALL = {
    "model.layers": 2,
    "model.heads": 2,
    "model.hidden": 32,
    "model.head_hidden": 16,
    "model.dtype": "float32",
    "perception.size": 32,
    "perception.width": 4,
    "batch.question": 16,
    "batch.unsupervised": 16,
    "batch.evaluation": 16,
}
SIZE = (48, 64)  # rows and columns of the pictures


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """The folder of a world of 20 images, with pictures and, for the train and validation splits, exact masks."""
    out = tmp_path_factory.mktemp("drawn")
    world.write(out, 20, width=SIZE[1], height=SIZE[0], workers=1)
    resolved = resolve(out)
    numbers = frame_numbers(resolved, files.FRAMES)
    for split in ("train", "validation"):
        indices, paths = files.scene_indices(out, split), exact.find(out)
        packed = (masks.pack(exact.by_slot(paths[index], numbers, 32, 10)) for index in indices)
        masks.write(frames_folder(resolved), split, packed, indices, numbers, 32, 10, {"name": "exact"})
    return out


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """The folder of a world of 60 images without pictures, encoded by the oracle."""
    out = tmp_path_factory.mktemp("told")
    world.write(out, 60, draw=False, workers=1)
    for split in ("train", "validation"):
        fill(out / "latents" / "oracle" / split, files.scene_indices(out, split), Encoder(out))
    return out


def resolve(root, overrides=(), variant="paper"):
    """The small configuration on a data folder, with overrides by path."""
    texts = {path: str(value) for path, value in (SMALL | dict(overrides)).items()}
    resolved = config.resolve("clevr", variant, texts)
    resolved.data.root = str(root)
    return resolved
