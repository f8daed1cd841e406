"""Small worlds of our own, and a configuration small enough to train on one in a test."""

import pytest

from aloe import config
from aloe.perception.fill import fill
from aloe.tasks.cater import files, world
from aloe.tasks.cater.oracle import Encoder

SMALL = {
    "model.layers": 2,
    "model.heads": 2,
    "model.hidden": 32,
    "model.head_hidden": 16,
    "model.frames": 6,
    "model.dtype": "float32",
    "batch.static": 8,
    "batch.moving": 8,
    "batch.unsupervised": 16,
    "batch.evaluation": 16,
}


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """The folder of a world with 32 × 24 videos, ten per camera."""
    out = tmp_path_factory.mktemp("drawn")
    world.write(out, 20, width=32, height=24, workers=1, objects=5)
    return out


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """The folder of a world without videos, encoded by the oracle."""
    out = tmp_path_factory.mktemp("told")
    world.write(out, 60, draw=False, workers=1, hidden=0.5)
    for split in files.SPLITS:
        fill(out / "latents" / "oracle" / split, files.scene_indices(out, split), Encoder(out, workers=1))
    return out


@pytest.fixture(scope="session")
def settings(root):
    """Resolves the small configuration on that folder, with overrides by path."""

    def settings(overrides=(), variant="paper"):
        texts = {path: str(value) for path, value in (SMALL | dict(overrides)).items()}
        resolved = config.resolve("cater", variant, texts)
        resolved.data.root = str(root)
        return resolved

    return settings
