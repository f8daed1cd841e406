"""Frames and masks for a small data folder: a coloured square on grey, its colour determined by the video."""

from pathlib import Path

import numpy as np

from aloe.data import frames, masks
from aloe.tasks.clevrer import files
from aloe.tasks.clevrer.annotations import FRAMES

COLORS = {"red": (230, 30, 30), "green": (30, 200, 30), "blue": (30, 50, 230)}
SIZE, STORED, SLOTS = 16, 8, 16
NUMBERS = frames.spread(FRAMES, STORED)
SMALL = {
    "perception.size": SIZE,
    "perception.blocks": 2,
    "perception.width": 4,
    "data.frames_per_video": STORED,
    "model.slots": SLOTS,
}


def color_of(scene_index):
    return list(COLORS)[scene_index % len(COLORS)]


def drawn(scene_index):
    """image_FxYxXx3, and masks_FxNxYxX: slot 1 is the square, slot 4 its upper half, the others are empty."""
    rng = np.random.default_rng(scene_index)
    image = rng.integers(118, 138, (STORED, SIZE, SIZE, 3)).astype(np.uint8)
    mask = np.zeros((STORED, SLOTS, SIZE, SIZE), bool)
    for frame, (top, left) in enumerate(rng.integers(0, SIZE - 6, (STORED, 2))):
        image[frame, top : top + 6, left : left + 6] = COLORS[color_of(scene_index)]
        mask[frame, 1, top : top + 6, left : left + 6] = True
        mask[frame, 4, top : top + 3, left : left + 6] = True
    return image, mask


def write_pixels(root: Path, splits=("train", "validation")) -> Path:
    """Writes what decoding and launch/masks.py would write."""
    folder = root / "frames" / f"{SIZE}x{SIZE}-{STORED}"
    for split in splits:
        indices = files.scene_indices(root, split)
        images = (drawn(index)[0] for index in indices)
        frames.write_arrays(folder / f"{split}_frames", images, indices, NUMBERS, (SIZE, SIZE, 3), split)
        packed = (masks.pack(drawn(index)[1]) for index in indices)
        masks.write(folder, split, packed, indices, NUMBERS, SIZE, SLOTS, {"name": "exact"})
    return root
