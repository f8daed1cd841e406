"""Masks of objects, a store beside that of the frames: a bit for every slot and pixel.

    <split>_<name>_masks.npy     masks_VxFxYxXxG, uint8: bit n of byte g is the mask of slot 8·g + n
    <split>_<name>_masks.json    as of the frames (`aloe.data.frames`), with the number of slots and the masks' source

Eight slots take a byte a pixel, a third of what the picture takes. Slots may overlap, and a slot may be empty.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aloe.data.frames import FrameStore, open_arrays, write_arrays
from aloe.data.skipped import DEFAULT_LIMIT
from aloe.errors import InputError

BITS = 8


class ExactMasks(NamedTuple):
    """What some frames of a video show, where a world of our own knows.

    Attributes:
      object_FxYxX: int8, the object that each pixel shows, −1 for none.
      color_O: int8, a number for the colour of each object; the same numbers for all videos.
    """

    object_FxYxX: np.ndarray
    color_O: np.ndarray

    def by_slot(self, slots: int) -> np.ndarray:
        """masks_FxNxYxX (bool), object n in slot n, and none for further objects."""
        return self.object_FxYxX[:, None] == np.arange(slots)[:, None, None]


def pack(masks_FxNxYxX: np.ndarray) -> np.ndarray:
    """masks_FxYxXxG, uint8, of bool."""
    return np.packbits(np.moveaxis(masks_FxNxYxX, 1, -1), axis=-1, bitorder="little")


def unpack(packed_BxYxXxG: jax.Array, slots: int) -> jax.Array:
    """masks_BxNxYxX, bool."""
    bits_BxYxXxN = jnp.unpackbits(jnp.asarray(packed_BxYxXxG), axis=-1, count=slots, bitorder="little")
    return jnp.moveaxis(bits_BxYxXxN, -1, -3).astype(bool)


def path(folder: Path, split: str, name: str) -> Path:
    """Of the masks of a split."""
    return folder / f"{split}_{name}_masks.npy"


def write(
    folder: Path,
    split: str,
    name: str,
    packed: Iterable[np.ndarray | InputError],
    scene_indices: Sequence[int],
    frame_numbers: Sequence[int],
    size: int,
    slots: int,
    source: Mapping[str, Any],
    limit: float = DEFAULT_LIMIT,
) -> None:
    """Writes a store, whole or not at all, and shows its progress.

    Args:
      folder: of the frames.
      split: its name.
      name: of the masks.
      packed: of each video in turn, masks_FxYxXxG as `pack` makes them, or what is wrong with it.
      scene_indices, frame_numbers: of which videos and frames.
      size: rows, and columns.
      slots: N.
      source: what made the masks, as JSON.
      limit: share of the videos that may be broken; they are named, counted and left out.

    Raises:
      InputError: too many videos are broken, or the disk is full.
    """
    shape, what = (size, size, -(-slots // BITS)), f"the {split} split"
    write_arrays(
        path(folder, split, name).with_suffix(""),
        *(packed, scene_indices, frame_numbers, shape, what, limit),
        slots=slots,
        source=dict(source),
    )


def open(
    folder: Path,
    split: str,
    name: str,
    scene_indices: Sequence[int],
    frame_numbers: Sequence[int],
    size: int,
    slots: int,
) -> FrameStore:
    """The masks of a split that were written before. Arguments as of `write`.

    Raises:
      InputError: there are none, they are of other videos, frames or slots, or damaged.
    """
    base = path(folder, split, name).with_suffix("")
    index = base.with_suffix(".json")
    mend = f"Write them anew, with python launch/masks.py --config.data.masks={name} and the other flags of the run."
    if not index.exists():
        raise InputError(f"{index}: there are no such masks. {mend}")
    store, record = open_arrays(base, scene_indices, frame_numbers, (size, size, -(-slots // BITS)), mend)
    if record.get("slots") != slots:
        raise InputError(f"{index}: masks of {record.get('slots')} slots, and config.model.slots = {slots}. {mend}")
    return store
