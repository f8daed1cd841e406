"""Small worlds of our own, and a configuration small enough to train on one in a test."""

import pytest

from aloe import config
from aloe.perception.fill import fill
from aloe.tasks.acre import files, world
from aloe.tasks.acre.oracle import Encoder

SMALL = {
    "model.layers": 2,
    "model.heads": 2,
    "model.hidden": 32,
    "model.head_hidden": 16,
    "model.dtype": "float32",
    "batch.query": 16,
    "batch.unsupervised": 16,
    "batch.evaluation": 16,
}


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """The folder of a world with 64 × 48 pictures, five problems per regime."""
    out = tmp_path_factory.mktemp("drawn")
    world.write(out, 5, width=64, height=48, workers=1)
    return out


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """The IID folder of a world without pictures, encoded by the oracle."""
    out = tmp_path_factory.mktemp("told")
    world.write(out, 40, draw=False, workers=1, regimes="IID")
    for split in files.SPLITS:
        path = out / "ACRE_IID" / "latents" / "oracle" / split
        fill(path, files.scene_indices(out / "ACRE_IID", split), Encoder(out / "ACRE_IID", workers=1))
    return out / "ACRE_IID"


@pytest.fixture(scope="session")
def settings(root):
    """Resolves the small configuration on that folder, with overrides by path."""

    def settings(overrides=(), variant="paper"):
        texts = {path: str(value) for path, value in (SMALL | dict(overrides)).items()}
        resolved = config.resolve("acre", variant, texts)
        resolved.data.root = str(root)
        return resolved

    return settings
