"""CLEVR: images and questions of our own world, rendered unless the latents are stored."""

import math
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from aloe.data import masks
from aloe.perception.config import MASKED_FRAMES, STORED, perception_config
from aloe.perception.fill import fill
from aloe.perception.pixels import frame_numbers, frames_folder
from aloe.tasks.clevr import files, world
from aloe.tasks.clevr import masks as exact
from aloe.tasks.clevr.oracle import Encoder
from aloe.tasks.clevr.task import QUESTION, UNSUPERVISED, model_config
from aloe.training.task import TRAINING_SPLITS
from benchmarks import flops

QUICK = {"model.heads": "2", "perception.size": "32"}


def write_data(folder: Path, videos: int, config: ConfigDict) -> Path:
    """Writes a world with at least this number of training images, and fewer in the other splits."""
    perception = perception_config(config)
    images, size = max(world.LEAST, math.ceil(videos / (1 - 2 * world.HELD_OUT))), perception.size
    world.write(folder, images, width=size, height=size, draw=perception.kind != STORED, workers=1)
    for split in TRAINING_SPLITS:
        indices = files.scene_indices(folder, split)
        if perception.kind == STORED:
            fill(folder / "latents" / config.data.encoder / split, indices, Encoder(folder))
        elif perception.kind == MASKED_FRAMES:
            _write_masks(folder, split, indices, config)
    return folder


def _write_masks(root: Path, split: str, indices: list[int], config: ConfigDict) -> None:
    config = config.copy_and_resolve_references()
    config.data.root = str(root)
    size, slots, paths = config.perception.size, config.model.slots, exact.find(root)
    numbers = frame_numbers(config, files.FRAMES)
    packed = (np.asarray(masks.pack(exact.by_slot(paths[index], numbers, size, slots))) for index in indices)
    masks.write(frames_folder(config), split, packed, indices, numbers, size, slots, {"name": config.data.masks})


def sequences(config: ConfigDict) -> dict[str, int]:
    counts = {QUESTION: config.batch.question}
    return counts | ({UNSUPERVISED: config.batch.unsupervised} if config.objective.weight else {})


def step_flops(config: ConfigDict) -> int | None:
    """Useful operations of a training step; None for a tower without formulas."""
    model, pixels = model_config(config), perception_config(config)
    work = flops.training_step(model, sequences(config))
    if work is None:
        return None
    work += flops.perception(config.batch.question, pixels, model, gradient=True)
    if config.objective.weight:  # no gradient reaches the perception from the unsupervised images
        work += flops.perception(config.batch.unsupervised, pixels, model)
    return work
