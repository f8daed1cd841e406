"""CATER: videos of our own world, without pictures."""

from pathlib import Path

from ml_collections import ConfigDict

from aloe.perception.fill import fill
from aloe.tasks.cater import files, world
from aloe.tasks.cater.oracle import Encoder
from aloe.tasks.cater.task import CELL, UNSUPERVISED, model_config
from aloe.training.task import TRAINING_SPLITS
from benchmarks import flops

QUICK = {"model.heads": "2", "model.frames": "3"}


def write_data(folder: Path, videos: int, config: ConfigDict) -> Path:
    """Writes a world for both cameras with at least this number of training videos, and fewer for validation."""
    world.write(folder, max(20, 2 * videos), draw=False)
    for split in TRAINING_SPLITS:
        fill(folder / "latents" / config.data.encoder / split, files.scene_indices(folder, split), Encoder(folder))
    return folder


def sequences(config: ConfigDict) -> dict[str, int]:
    """One head answers those of both cameras."""
    counts = {CELL: config.batch.static + config.batch.moving}
    return counts | ({UNSUPERVISED: config.batch.unsupervised} if config.objective.weight else {})


def step_flops(config: ConfigDict) -> int | None:
    return flops.training_step(model_config(config), sequences(config))
