"""ACRE: problems of our own world, without pictures."""

from pathlib import Path

from ml_collections import ConfigDict

from aloe.perception.fill import fill
from aloe.tasks.acre import files, world
from aloe.tasks.acre.oracle import Encoder
from aloe.tasks.acre.task import QUERY, UNSUPERVISED, model_config
from aloe.training.task import TRAINING_SPLITS
from benchmarks import flops

QUICK = {"model.heads": "2"}
REGIME = "IID"


def write_data(folder: Path, videos: int, config: ConfigDict) -> Path:
    """Writes a world with this number of training problems, and fewer in the other splits."""
    world.write(folder, round(videos / world.SHARES["train"]), draw=False, regimes=REGIME)
    root = folder / f"ACRE_{REGIME}"
    for split in TRAINING_SPLITS:
        fill(root / "latents" / config.data.encoder / split, files.scene_indices(root, split), Encoder(root))
    return root


def sequences(config: ConfigDict) -> dict[str, int]:
    return {QUERY: config.batch.query} | ({UNSUPERVISED: config.batch.unsupervised} if config.objective.weight else {})


def step_flops(config: ConfigDict) -> int | None:
    return flops.training_step(model_config(config), sequences(config))
