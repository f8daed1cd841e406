"""CLEVRER: a data folder of any size, with random latents, or pictures and masks, and made-up questions.

The folder is in the official format and read by the task itself, so that everything between files and devices is the
real thing; only the content of the numbers and words is nonsense.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from aloe.data import frames, latents, masks
from aloe.data.whole import write_whole
from aloe.perception.config import STORED, perception_config
from aloe.perception.pixels import frame_numbers, frames_folder
from aloe.tasks.clevrer import vocabulary
from aloe.tasks.clevrer.annotations import FRAMES
from aloe.tasks.clevrer.questions import MAX_CHOICES
from aloe.tasks.clevrer.task import CHOICE, DESCRIPTIVE, UNSUPERVISED, model_config
from benchmarks import flops

# Set by `--quick`, in addition to what `benchmarks.options` sets for every task.
QUICK = {"model.frames": "3", "model.heads": "2"}
DESCRIPTIVE_QUESTIONS, CHOICE_QUESTIONS = 11, 4  # per video, as in the training split: 109,952 and 42,620 in all


def write_data(folder: Path, videos: int, config: ConfigDict) -> Path:
    """Writes a training split of this number of videos, and a validation split of one."""
    rng = np.random.default_rng(0)
    for split, first, count in (("train", 0, videos), ("validation", videos, 1)):
        indices = range(first, first + count)
        entries = [{"scene_index": index, "questions": _questions(rng)} for index in indices]
        write_whole(folder / f"{split}.json", json.dumps(entries))
        if perception_config(config).kind == STORED:
            _write_latents(folder / "latents" / config.data.encoder / split, indices, config, rng)
        else:
            _write_pixels(folder, split, indices, config, rng)
    return folder


def _write_latents(folder: Path, indices: range, config: ConfigDict, rng: np.random.Generator) -> None:
    slots, size = config.model.slots, config.model.latent
    shape = (FRAMES, slots, size)
    store = latents.create(folder, indices, range(FRAMES), slots, size, {"name": "noise"})
    for start in range(0, len(indices), store.videos_per_shard):
        some = indices[start : start + store.videos_per_shard]
        store.write(some, rng.standard_normal((len(some), *shape), np.float32))


def _write_pixels(root: Path, split: str, indices: range, config: ConfigDict, rng: np.random.Generator) -> None:
    """Writes the stores of decoded frames and of masks, so that no videos are needed."""
    config = config.copy_and_resolve_references()
    config.data.root = str(root)
    folder, size, slots = frames_folder(config), config.perception.size, config.model.slots
    numbers = frame_numbers(config, FRAMES)

    def noise(channels: int) -> Iterator[np.ndarray]:
        return (rng.integers(0, 256, (len(numbers), size, size, channels), np.uint8) for _ in indices)

    frames.write_arrays(folder / f"{split}_frames", noise(3), indices, numbers, (size, size, 3), f"the {split} split")
    packed = noise(-(-slots // masks.BITS))
    masks.write(folder, split, packed, indices, numbers, size, slots, {"name": config.data.masks})


def _questions(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Eleven descriptive questions, and four with four choices each, of random words and maximal length."""

    def words(count: int) -> str:
        return " ".join(rng.choice(vocabulary.WORDS, count))

    descriptive = [
        {"question_type": "descriptive", "answer": str(rng.choice(vocabulary.ANSWERS))}
        for _ in range(DESCRIPTIVE_QUESTIONS)
    ]
    choice: list[dict[str, Any]] = [
        {
            "question_type": "explanatory",
            "choices": [
                {"choice_id": number, "choice": words(vocabulary.CHOICE_LENGTH), "answer": "correct"}
                for number in range(MAX_CHOICES)
            ],
        }
        for _ in range(CHOICE_QUESTIONS)
    ]
    return [
        {"question_id": number, "question": words(vocabulary.QUESTION_LENGTH)} | question
        for number, question in enumerate(descriptive + choice)
    ]


def sequences(config: ConfigDict) -> dict[str, int]:
    """Every choice is a sequence of its own."""
    counts = {DESCRIPTIVE: config.batch.descriptive, CHOICE: MAX_CHOICES * config.batch.choice}
    return counts | ({UNSUPERVISED: config.batch.unsupervised} if config.objective.weight else {})


def step_flops(config: ConfigDict) -> int | None:
    """Useful operations of a training step; None for a tower without formulas."""
    model = model_config(config)
    work = flops.training_step(model, sequences(config))
    if work is None:
        return None
    # No gradient reaches the perception from the unsupervised videos; choices share their question's video.
    pixels = perception_config(config)
    work += flops.perception(config.batch.descriptive + config.batch.choice, pixels, model, gradient=True)
    if config.objective.weight:
        work += flops.perception(config.batch.unsupervised, pixels, model)
    return work
