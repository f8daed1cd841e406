"""A small data folder in CLEVRER's layout whose videos show two coloured squares on grey, with a configuration."""

from pathlib import Path

import av
import numpy as np

from aloe import config
from aloe.tasks.clevrer.annotations import FRAMES
from tests.tasks.clevrer.writer import entry, write_json

COLORS = np.array([[230, 30, 30], [30, 200, 30], [30, 50, 230]], np.uint8)
GREY = 128
SMALL = {
    "data.frames_per_video": 64,
    "data.evaluation_frames": 32,
    "model.size": 16,
    "model.slots": 3,
    "model.latent": 8,
    "model.attention_width": 8,
    "model.attention_hidden": 16,
    "model.component_width": 8,
    "model.component_hidden": 32,
    "model.dtype": "float32",
    "batch.frames": 16,
    "batch.evaluation": 16,
}


def picture(rng, size=16):
    """A grey picture with a square of one colour in its left half, and one of another colour in its right half."""
    image_YxXx3 = np.full((size, size, 3), GREY, np.uint8)
    side = 3 * size // 8
    for place, color in enumerate(rng.choice(len(COLORS), 2, replace=False)):
        top, left = rng.integers(0, size - side + 1), rng.integers(0, size // 2 - side + 1) + place * size // 2
        image_YxXx3[top : top + side, left : left + side] = COLORS[color]
    return image_YxXx3


def write_video(path: Path, seed, frames=FRAMES, size=64):
    """Writes a video of unrelated frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p"
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(rng, size), "rgb24")))
        container.mux(stream.encode())
    return path


def write_squares(root: Path, train=4, validation=2):
    splits = {"train": range(train), "validation": range(train, train + validation)}
    for split, indices in splits.items():
        write_json(root / f"{split}.json", [entry(index) for index in indices])
        for index in indices:
            write_video(root / "video_00000-01000" / f"video_{index:05d}.mp4", index)
    return root


def flags(overrides=()):
    """The small configuration as flags, with overrides by path."""
    return [f"--config.{path}={value}" for path, value in (SMALL | dict(overrides)).items()]


def settings(root: Path, overrides=(), variant="paper"):
    """The small configuration of a variant on a data folder, with overrides by path."""
    resolved = config.resolve("monet", variant, {path: str(value) for path, value in (SMALL | dict(overrides)).items()})
    resolved.data.root = str(root)
    return resolved
