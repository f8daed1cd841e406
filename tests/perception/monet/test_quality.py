"""The adjusted Rand index by counting pairs; every metric on slots for which the answer is obvious."""

import itertools

import numpy as np
import pytest

from aloe.perception.monet import quality
from tests.perception.monet.cases import log_mask_of

SIZE = 40


def scene(slots_by_object, background=0, number=5):
    """A 40 × 40 picture of 5 × 5 squares as objects, each won by the given slot: object of each pixel, log masks."""
    object_YxX, slot_YxX = np.full((SIZE, SIZE), -1), np.full((SIZE, SIZE), background)
    for index, slot in enumerate(slots_by_object):
        place = slice(7 * index, 7 * index + 5)
        object_YxX[place, :5] = index
        slot_YxX[place, :5] = slot
    return object_YxX, log_mask_of(slot_YxX[None], number)


def numbers(slots_by_object, colors=(0, 1, 2, 3), **kwargs):
    object_YxX, log_mask = scene(slots_by_object, **kwargs)
    color_BxO = np.zeros((1, quality.MAX_OBJECTS), np.int8)
    color_BxO[0, : len(colors)] = colors
    told = quality.of_masks(log_mask) | quality.beside_exact(log_mask, object_YxX[None], color_BxO)
    return {name: float(value[0]) for name, value in told.items()}


def rand_index_by_pairs(one, other):
    """(index − expected) / (largest − expected), each counted over pairs of elements."""
    pairs = list(itertools.combinations(range(len(one)), 2))
    same_one = np.array([one[i] == one[j] for i, j in pairs])
    same_other = np.array([other[i] == other[j] for i, j in pairs])
    expected = same_one.sum() * same_other.sum() / len(pairs)
    return (np.sum(same_one & same_other) - expected) / ((same_one.sum() + same_other.sum()) / 2 - expected)


@pytest.mark.parametrize("seed", range(4))
def test_the_adjusted_rand_index_counts_pairs(seed):
    rng = np.random.default_rng(seed)
    one = rng.integers(0, 3, 40)
    other = np.where(rng.random(40) < 0.7, one, rng.integers(0, 4, 40))
    shared = np.zeros((1, 3, 4), np.float32)
    np.add.at(shared[0], (one, other), 1)
    np.testing.assert_allclose(quality.adjusted_rand_index(shared), [rand_index_by_pairs(one, other)], rtol=1e-5)


def test_foreground_ari_ignores_the_background_and_what_slots_are_called():
    assert numbers([1, 2, 3])["foreground_ari"] == pytest.approx(1)
    assert numbers([4, 1, 2], background=3)["foreground_ari"] == pytest.approx(1)


def test_foreground_ari_is_that_of_the_pixels_of_objects():
    object_YxX, log_mask = scene([1, 2, 2, 0])
    chosen = np.argmax(log_mask[0], axis=0)[object_YxX >= 0]
    expected = rand_index_by_pairs(object_YxX[object_YxX >= 0], chosen)
    assert 0 < expected < 1
    assert numbers([1, 2, 2, 0])["foreground_ari"] == pytest.approx(expected, rel=1e-5)


def test_of_fewer_than_two_objects_there_is_no_index():
    assert np.isnan(numbers([1])["foreground_ari"])
    assert np.isnan(numbers([])["foreground_ari"])


@pytest.mark.parametrize(("slots", "share"), [([0, 0, 0, 0], 1), ([1, 2, 3, 0], 0.25), ([1, 1, 1, 1], 0)])
def test_what_is_lost_to_the_background(slots, share):
    assert numbers(slots)["in_background"] == pytest.approx(share)


def test_a_background_that_is_split_is_background_all_the_same():
    object_YxX, log_mask = scene([1, 2])
    slot_YxX = np.array(np.argmax(log_mask[0], axis=0))
    slot_YxX[:, SIZE // 2 :] = 3
    slot_YxX[object_YxX == 1] = 3
    told = quality.beside_exact(log_mask_of(slot_YxX[None], 5), object_YxX[None], np.zeros((1, 16), np.int8))
    assert float(told["in_background"][0]) == pytest.approx(0.5)


def test_merged_pairs_are_told_apart_by_colour():
    told = numbers([1, 1, 2, 2], colors=(5, 5, 5, 7))
    assert (told["alike"], told["unlike"]) == (3, 3)
    assert (told["alike_merged"], told["unlike_merged"]) == (1, 1)
    in_background = numbers([0, 0, 0, 0], colors=(5, 5, 5, 7))
    assert (in_background["alike_merged"], in_background["unlike_merged"]) == (0, 0)
    assert in_background["objects"] == 4


def test_objects_out_of_view_are_no_pairs():
    object_YxX, log_mask = scene([1, 2])
    object_YxX[object_YxX == 1] = -1
    object_YxX[-1, -2:] = 1  # two pixels of it
    told = quality.beside_exact(log_mask, object_YxX[None], np.zeros((1, 16), np.int8))
    assert float(told["objects"][0]) == 1
    assert float(told["alike"][0] + told["unlike"][0]) == 0


def test_slots_in_use():
    told = numbers([1, 2, 2])
    assert told["slots_used"] == 3
    assert told["largest_slot"] == pytest.approx(1 - 75 / SIZE**2)


def test_entropy_is_a_share_of_the_largest():
    even = np.full((1, 4, 6, 7), np.log(1 / 4), np.float32)
    two = np.log(np.array([0.5, 0.5, 1e-30, 1e-30], np.float32))[None, :, None, None] * np.ones((1, 1, 6, 7))
    assert float(quality.of_masks(even)["mask_entropy"][0]) == pytest.approx(1)
    assert float(quality.of_masks(two)["mask_entropy"][0]) == pytest.approx(0.5)


def test_a_summary_leaves_out_what_is_not_known():
    by_frame = {
        "slots_used": np.array([2.0, 4.0, 6.0]),
        "foreground_ari": np.array([0.5, np.nan, 1.0]),
        "in_background": np.full(3, np.nan),
        "alike": np.array([0.0, 3.0, 1.0]),
        "alike_merged": np.array([0.0, 1.0, 1.0]),
        "unlike": np.zeros(3),
        "unlike_merged": np.zeros(3),
    }
    expected = {"slots_used": 4.0, "foreground_ari": 0.75, "alike_merged": 0.5}
    assert quality.summary(by_frame) == pytest.approx(expected)
