"""The mask store: every bit in its place, and only masks of the same videos, frames and slots."""

import json
import re

import jax
import numpy as np
import pytest

from aloe.data import masks
from aloe.errors import InputError

NUMBERS, SIZE = [0, 5, 9], 8


def drawn(index, slots=5):
    return np.random.default_rng(index).random((len(NUMBERS), slots, SIZE, SIZE)) < 0.5


EXACT, ONE, OTHER = ({"name": "exact"}, *({"name": "monet", "checksum": checksum} for checksum in ("aa", "bb")))


def write(folder, indices=(4, 9, 2), slots=5, broken=(), source=EXACT, **more):
    packed = (
        InputError(f"mask {index} is broken") if index in broken else masks.pack(drawn(index, slots))
        for index in indices
    )
    return masks.write(folder, "train", packed, indices, NUMBERS, SIZE, slots, source, **more)


def opened(folder, indices=(4, 9, 2), numbers=NUMBERS, slots=5, name="exact"):
    return masks.open(folder, "train", name, indices, numbers, SIZE, slots)


@pytest.mark.parametrize("slots", [1, 5, 8, 9, 17])
def test_what_is_unpacked_is_what_was_packed(slots):
    mask_FxNxYxX = drawn(0, slots)
    packed = masks.pack(mask_FxNxYxX)
    assert packed.shape == (len(NUMBERS), SIZE, SIZE, -(-slots // 8))
    assert packed.dtype == np.uint8
    np.testing.assert_array_equal(jax.jit(masks.unpack, static_argnums=1)(packed, slots), mask_FxNxYxX)


@pytest.mark.parametrize("slots", [5, 9])
def test_masks_are_read_by_video_and_frame(tmp_path, slots):
    write(tmp_path, slots=slots)
    store = opened(tmp_path, slots=slots)
    for index in (4, 9, 2):
        for places in ([0, 1, 2], [2], [2, 0]):
            read = store.read(index, np.array(places))
            np.testing.assert_array_equal(masks.unpack(read, slots), drawn(index, slots)[places])


def test_broken_ones_are_named_and_left_out(tmp_path, capsys):
    with pytest.raises(InputError, match="mask 9 is broken"):
        write(tmp_path, broken=[9])
    assert not list(tmp_path.iterdir())
    assert write(tmp_path, broken=[9], limit=0.5) == 2
    assert "mask 9 is broken" in capsys.readouterr().out
    store = opened(tmp_path)
    assert store.scene_indices == (4, 2)
    np.testing.assert_array_equal(masks.unpack(store.read(2, np.arange(3)), 5), drawn(2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"indices": (4, 9)}, "train_exact_masks.json: this frame store is of other videos or frames"),
        ({"numbers": [0, 5, 8]}, "train_exact_masks.json: this frame store is of other videos or frames"),
        ({"slots": 4}, "train_exact_masks.json: masks of 5 slots, and config.model.slots = 4"),
        ({"slots": 9}, "train_exact_masks.npy: is uint8 of the shape (3, 3, 8, 8, 1), not uint8 of (3, 3, 8, 8, 2)"),
    ],
)
def test_masks_of_something_else_are_refused(tmp_path, changes, message):
    write(tmp_path)
    with pytest.raises(InputError, match=re.escape(message)):
        opened(tmp_path, **changes)


def test_masks_that_are_not_there_come_with_the_command_that_writes_them(tmp_path):
    with pytest.raises(InputError, match=r"train_exact_masks.json: there are no such masks.*launch/masks.py"):
        opened(tmp_path)


def test_masks_of_several_weights_lie_side_by_side(tmp_path):
    for source, indices in ((ONE, (4, 9)), (OTHER, (9, 4))):
        write(tmp_path, indices, source=source)
    assert opened(tmp_path, (4, 9), name="monet-aa").scene_indices == (4, 9)
    assert opened(tmp_path, (4, 9), name="monet-bb").scene_indices == (9, 4)
    with pytest.raises(
        InputError, match=r"train_monet_masks.json: .*there are, --config.data.masks=monet-aa, monet-bb\."
    ):
        opened(tmp_path, (4, 9), name="monet")


def test_masks_of_another_source_are_neither_read_nor_replaced(tmp_path):
    write(tmp_path, source=ONE)
    for suffix in ("json", "npy"):
        (tmp_path / f"train_monet-aa_masks.{suffix}").rename(tmp_path / f"train_monet-bb_masks.{suffix}")
    before = (tmp_path / "train_monet-bb_masks.npy").read_bytes()
    refused = r"monet-bb_masks.json: .*made by .*'aa'.*not those of monet-bb. Delete it and train_monet-bb_masks.npy"
    with pytest.raises(InputError, match=refused):
        write(tmp_path, (9, 4, 2), source=OTHER)
    with pytest.raises(InputError, match=refused):
        opened(tmp_path, name="monet-bb")
    assert (tmp_path / "train_monet-bb_masks.npy").read_bytes() == before


def test_masks_of_the_same_source_are_replaced(tmp_path):
    write(tmp_path, (4, 9))
    write(tmp_path)
    assert opened(tmp_path).scene_indices == (4, 9, 2)


def test_the_record_tells_what_made_them(tmp_path):
    write(tmp_path)
    record = json.loads((tmp_path / "train_exact_masks.json").read_text())
    assert (record["source"], record["slots"]) == ({"name": "exact"}, 5)
