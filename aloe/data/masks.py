"""Masks of objects, a store beside that of the frames: a bit for every slot and pixel.

    <split>_<name>_masks.npy     masks_VxFxYxXxG, uint8: bit n of byte g is the mask of slot 8·g + n
    <split>_<name>_masks.json    as of the frames (`aloe.data.frames`), with the number of slots and the masks' source

Eight slots take a byte a pixel, a third of what the picture takes. Slots may overlap, and a slot may be empty. The name
is the source's, with the checksum of its weights where it has some: masks of several MONets lie side by side, and a run
keeps to those that its configuration names.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aloe.data.fields import field, read_json, within
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


def name_of(source: Mapping[str, Any]) -> str:
    """What a source's masks are called: `exact`, or `monet-` and the checksum of the weights that made them."""
    return "-".join(source[part] for part in ("name", "checksum") if part in source)


def path(folder: Path, split: str, name: str) -> Path:
    """Of the masks of a split."""
    return folder / f"{split}_{name}_masks.npy"


def write(
    folder: Path,
    split: str,
    packed: Iterable[np.ndarray | InputError],
    scene_indices: Sequence[int],
    frame_numbers: Sequence[int],
    size: int,
    slots: int,
    source: Mapping[str, Any],
    limit: float = DEFAULT_LIMIT,
) -> int:
    """Writes a store, whole or not at all, and shows its progress. One that the same source made is replaced.

    Args:
      folder: of the frames.
      split: its name.
      packed: of each video in turn, masks_FxYxXxG as `pack` makes them, or what is wrong with it.
      scene_indices, frame_numbers: of which videos and frames.
      size: rows, and columns.
      slots: N.
      source: what made the masks, as JSON with a `name`, and a `checksum` where weights made them.
      limit: share of the videos that may be broken; they are named, counted and left out.

    Returns:
      How many videos are in the store.

    Raises:
      InputError: another source's masks lie there, too many videos are broken, or the disk is full.
    """
    shape, what = (size, size, -(-slots // BITS)), f"the {split} split"
    base = path(folder, split, name_of(source)).with_suffix("")
    index = base.with_suffix(".json")
    if index.exists():
        _refuse_another(index, name_of(source))
    told = {"slots": slots, "source": dict(source)}
    return write_arrays(base, packed, scene_indices, frame_numbers, shape, what, limit, **told)


def open(
    folder: Path,
    split: str,
    name: str,
    scene_indices: Sequence[int],
    frame_numbers: Sequence[int],
    size: int,
    slots: int,
) -> FrameStore:
    """The masks of a split that were written before. Arguments as of `write`, and their name, see `name_of`.

    Raises:
      InputError: there are none, they are another source's, of other videos, frames or slots, or damaged.
    """
    base = path(folder, split, name).with_suffix("")
    index = base.with_suffix(".json")
    mend = f"Write them anew, with python launch/masks.py --config.data.masks={name} and the other flags of the run."
    if not index.exists():
        found = sorted(each.name for each in folder.glob(path(folder, split, "*").with_suffix(".json").name))
        there = [each.removeprefix(f"{split}_").removesuffix("_masks.json") for each in found]
        others = f" Or name one of those that there are, --config.data.masks={', '.join(there)}." if there else ""
        raise InputError(f"{index}: there are no such masks. {mend}{others}")
    _refuse_another(index, name)
    store, record = open_arrays(base, scene_indices, frame_numbers, (size, size, -(-slots // BITS)), mend)
    if record.get("slots") != slots:
        raise InputError(f"{index}: masks of {record.get('slots')} slots, and config.model.slots = {slots}. {mend}")
    return store


def _refuse_another(index: Path, name: str) -> None:
    """Raises InputError where the masks beside a record are not those of the source of this name."""
    record = read_json(index)
    with within(index):
        source = field(record, "source", dict)
        field(source, "name", str)
    if name_of(source) != name:
        raise InputError(
            f"{index}: the masks beside it were made by {source}, and are not those of {name}. Delete it and "
            f"{index.stem}.npy, or name another folder with --config.data.frames."
        )
