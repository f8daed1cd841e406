"""A small data folder with latents, and a configuration small enough to train on it in a test."""

from pathlib import Path

from aloe import config
from aloe.perception.fill import fill
from aloe.tasks.clevrer import files
from aloe.tasks.clevrer.oracle import Encoder
from tests.tasks.clevrer.writer import descriptive, entry, multiple_choice, write_annotation, write_json

CHOICE = {
    "explanatory": "What is responsible for the collision?",
    "predictive": "What will happen next?",
    "counterfactual": "What will happen without the cube?",
}
DESCRIPTIVE = {
    "How many objects are moving?": ("count", ("0", "1", "2", "3")),
    "What is the color of the first object that enters the scene?": ("query_color", ("red", "blue", "gray")),
    "Are there any metal cubes that are moving?": ("exist", ("yes", "no")),
    "What is the shape of the last object to enter the scene?": ("query_shape", ("cube", "sphere")),
}
SMALL = {
    "model.layers": 2,
    "model.heads": 2,
    "model.frames": 3,
    "model.hidden": 32,
    "model.head_hidden": 16,
    "model.dtype": "float32",
    "model.dropout": 0.1,
    "batch.descriptive": 16,
    "batch.choice": 16,
    "batch.unsupervised": 16,
    "batch.evaluation": 16,
}


def questions(scene_index):
    """Four descriptive questions, and three with one to four choices; the answers differ between videos."""
    asked = [
        descriptive(number, text, subtype, answers[scene_index % len(answers)])
        for number, (text, (subtype, answers)) in enumerate(DESCRIPTIVE.items())
    ]
    for number, (kind, text) in enumerate(CHOICE.items()):
        labels = [(scene_index >> choice + number) % 2 == 0 for choice in range(1 + (scene_index + number) % 4)]
        asked.append(multiple_choice(len(DESCRIPTIVE) + number, kind, labels, text))
    return asked


def write_encoded(root: Path, train=12, validation=5) -> Path:
    """Writes a data folder without videos, but with latents from the oracle."""
    splits = {"train": range(train), "validation": range(train, train + validation)}
    for split, indices in splits.items():
        write_json(root / f"{split}.json", [entry(index, questions(index)) for index in indices])
        for index in indices:
            write_annotation(root, index, objects=3 + index % 3)
    for split in splits:
        fill(root / "latents" / "oracle" / split, files.scene_indices(root, split), Encoder(root, workers=1))
    return root


def flags(overrides=()):
    """The small configuration as flags, with overrides by path."""
    return [f"--config.{path}={value}" for path, value in (SMALL | dict(overrides)).items()]


def settings(root: Path, overrides=(), variant="paper"):
    """The small configuration of a variant on a data folder, with overrides by path."""
    texts = {path: str(value) for path, value in (SMALL | dict(overrides)).items()}
    resolved = config.resolve("clevrer", variant, texts)
    resolved.data.root = str(root)
    return resolved
