"""CLEVRER's proposals: the masks and attributes that a detector found in each frame of a video.

    <root>/**/proposal_00012.json

Masks that are not learned here, for Aloe on masked frames (paper, appendix B).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aloe.data.fields import field, number, one_of, read_json, within
from aloe.errors import InputError
from aloe.perception.run_lengths import coco_mask
from aloe.tasks.clevrer import files
from aloe.tasks.clevrer.annotations import COLORS, FRAMES, MATERIALS, SHAPES


@dataclass(frozen=True, slots=True)
class Proposal:
    """One object found in a frame, with the detector's confidence; the mask is as in the file."""

    color: str
    material: str
    shape: str
    score: float
    run_lengths: Any

    def mask(self) -> np.ndarray:
        """mask_YxX, bool. Same errors as `coco_mask`."""
        return coco_mask(self.run_lengths)


def read_proposals(path: Path, frames: int = FRAMES) -> list[tuple[Proposal, ...]]:
    """Reads what was found in each of a video's frames.

    Raises:
      InputError: the file cannot be read, a field is missing or wrong, or frames are missing, as in a few official
        files; the message names the file, the place and the field. Masks are checked when they are decoded.
    """
    record = read_json(path)
    found: dict[int, tuple[Proposal, ...]] = {}
    with within(path):
        for place, entry in enumerate(field(record, "frames", list)):
            with within(f"entry {place} of 'frames'"):
                index = field(entry, "frame_index", int)
                if index in found:
                    raise InputError(f"field 'frame_index' is {index}, which an entry before it has too")
                found[index] = tuple(_parse(each) for each in field(entry, "objects", list))
        absent = sorted(set(range(frames)) - found.keys())
        if absent or len(found) != frames:
            raise InputError(f"{len(found)} frames, without number {absent[:5]}; it must have {frames}, from 0 on")
    return [found[index] for index in range(frames)]


def slot_masks(proposals: Sequence[Proposal], slots: int, shape: tuple[int, int]) -> np.ndarray:
    """Masks of one frame's objects, masks_NxYxX (bool), in the order of the file; a slot without an object is empty.

    Args:
      proposals: those of one frame; if more than `slots`, those with the highest scores are kept.
      slots: N.
      shape: rows and columns of a picture.

    Raises:
      InputError: a mask is broken or of another shape.
    """
    best = sorted(sorted(range(len(proposals)), key=lambda place: -proposals[place].score)[:slots])
    masks_NxYxX = np.zeros((slots, *shape), bool)
    for slot, place in enumerate(best):
        mask_YxX = proposals[place].mask()
        if mask_YxX.shape != shape:
            raise InputError(f"object {place}: a mask of shape {mask_YxX.shape}; the pictures are {shape}")
        masks_NxYxX[slot] = mask_YxX
    return masks_NxYxX


def find(root: Path) -> dict[int, Path]:
    """Scene index → the file that `by_slot` takes."""
    return files.find_proposals(root)


def by_slot(path: Path, frame_numbers: Sequence[int], size: int, slots: int) -> np.ndarray:
    """The masks of some frames of a video, masks_FxNxYxX (bool).

    Args:
      path: the video's file of proposals.
      frame_numbers: which frames.
      size: rows and columns; each pixel takes the mask's value at the pixel's centre, as exact masks do.
      slots: N.

    Raises:
      InputError: the file is broken, or its masks are not all of one shape.
    """
    frames = read_proposals(path)
    masks_FxNxYxX = np.zeros((len(frame_numbers), slots, size, size), bool)
    shape: tuple[int, int] | None = None
    for place, frame in enumerate(frame_numbers):
        if not frames[frame]:
            continue
        with within(path), within(f"frame {frame}"):
            shape = shape or frames[frame][0].mask().shape
            rows, columns = ((2 * np.arange(size) + 1) * length // (2 * size) for length in shape)
            masks_FxNxYxX[place] = slot_masks(frames[frame], slots, shape)[:, rows[:, None], columns]
    return masks_FxNxYxX


def _parse(record: Any) -> Proposal:
    mask = field(record, "mask", dict)
    return Proposal(
        one_of(record, "color", COLORS),
        one_of(record, "material", MATERIALS),
        one_of(record, "shape", SHAPES),
        number(record, "score"),
        mask,
    )
