"""Object masks, a store beside that of the frames: one bit per slot and pixel.

    <split>_<name>_masks.npy     masks_VxFxYxXxG, uint8: bit n of byte g is the mask of slot 8·g + n
    <split>_<name>_masks.json    as for the frames (`aloe.data.frames`), with the number of slots and the masks' source

Eight slots take one byte per pixel, a third of what the frame takes. Slots may overlap, and a slot may be empty. The
name is the source's, with the checksum of its weights if it has any: masks of several MONets lie side by side, and a
run uses only those that its configuration names.
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
    """What some frames of a video show, where one of our own worlds knows it.

    Attributes:
      object_FxYxX: int8, the object that each pixel shows, −1 for none.
      color_O: int8, the colour of each object as a number; the numbering is the same for all videos.
    """

    object_FxYxX: np.ndarray
    color_O: np.ndarray

    def by_slot(self, slots: int) -> np.ndarray:
        """masks_FxNxYxX (bool), object n in slot n; objects beyond the last slot are dropped."""
        return self.object_FxYxX[:, None] == np.arange(slots)[:, None, None]


def pack(masks_FxNxYxX: np.ndarray) -> np.ndarray:
    """Packs bool masks into masks_FxYxXxG, uint8."""
    return np.packbits(np.moveaxis(masks_FxNxYxX, 1, -1), axis=-1, bitorder="little")


def unpack(packed_BxYxXxG: jax.Array, slots: int) -> jax.Array:
    """Unpacks masks_BxNxYxX, bool."""
    bits_BxYxXxN = jnp.unpackbits(jnp.asarray(packed_BxYxXxG), axis=-1, count=slots, bitorder="little")
    return jnp.moveaxis(bits_BxYxXxN, -1, -3).astype(bool)


def name_of(source: Mapping[str, Any]) -> str:
    """The name of a source's masks: `exact`, `proposals`, or `monet-` and the checksum of the weights."""
    return "-".join(source[part] for part in ("name", "checksum") if part in source)


def path(folder: Path, split: str, name: str) -> Path:
    """The path of a split's masks."""
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
    """Writes a store, whole or not at all, showing progress. An existing one from the same source is replaced.

    Args:
      folder: the folder of the frames.
      split: its name.
      packed: for each video in turn, masks_FxYxXxG as `pack` makes them, or what is wrong with it.
      scene_indices, frame_numbers: the videos and frames that the masks are of.
      size: number of rows, and of columns.
      slots: N.
      source: what made the masks, as JSON with a `name`, and a `checksum` if weights made them.
      limit: fraction of the videos that may be broken; broken ones are listed, counted and skipped.

    Returns:
      How many videos are in the store.

    Raises:
      InputError: masks from another source are there, too many videos are broken, or the disk is full.
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
    """Opens the masks of a split written before. Arguments are those of `write`, and the masks' name, see `name_of`.

    Raises:
      InputError: there are none, or they are damaged, from another source, or for other videos, frames or slots.
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
    """Raises InputError if the masks beside a record are not from the source of this name."""
    record = read_json(index)
    with within(index):
        source = field(record, "source", dict)
        field(source, "name", str)
    if name_of(source) != name:
        raise InputError(
            f"{index}: the masks beside it were made by {source}, and are not those of {name}. Delete it and "
            f"{index.stem}.npy, or name another folder with --config.data.frames."
        )
