import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from aloe.errors import InputError
from aloe.perception.run_lengths import coco_mask, from_runs, to_runs, unpack

ROW, COLUMN = np.mgrid[:40, :60]


def runs_of(pixels):
    """Run lengths, found by walking over the pixels one by one."""
    lengths, inside = [0], False
    for pixel in pixels:
        if bool(pixel) != inside:
            lengths.append(0)
            inside = not inside
        lengths[-1] += 1
    return lengths


def packed(lengths):
    """COCO's string encoding, group by group."""
    text = ""
    for place, length in enumerate(lengths):
        left = length - lengths[place - 2] if place > 2 else length
        while True:
            group, left = left & 31, left >> 5
            done = left == (-1 if group & 16 else 0)
            text += chr(48 + group + (0 if done else 32))
            if done:
                break
    return text


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        ("<", np.zeros((3, 4))),
        ("0<", np.ones((3, 4))),
        ("0161M", [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0]]),
        ("0110110O10O010O10OO0000020O010O10O0", (ROW * 7 + COLUMN * 3)[:6, :9] % 11 < 4),
        ("Um09l06L2N2N2N2O0O2O0001N101N2N2N2N4Jfh0", (ROW - 17) ** 2 + 2 * (COLUMN - 31) ** 2 < 150),
    ],
)
def test_what_pycocotools_packs_is_read(text, mask):
    mask = np.asarray(mask, bool)
    np.testing.assert_array_equal(coco_mask({"size": list(mask.shape), "counts": text}), mask)
    assert packed(runs_of(mask.T.ravel())) == text


masks = st_np.arrays(bool, st_np.array_shapes(min_dims=2, max_dims=2, max_side=40))


@given(masks)
def test_any_mask_comes_back_packed_or_not(mask):
    lengths = runs_of(mask.T.ravel())
    for counts in (packed(lengths), lengths):
        np.testing.assert_array_equal(coco_mask({"size": list(mask.shape), "counts": counts}), mask)
    np.testing.assert_array_equal(from_runs(runs_of(mask.ravel()), mask.shape, by_columns=False), mask)


@given(st.lists(st.integers(0, 2**30), min_size=1, max_size=60))
def test_any_lengths_are_unpacked(lengths):
    assert unpack(packed(lengths)).tolist() == lengths


@given(st.text(max_size=30) | st.text("0123456789:;<=>?@", max_size=5))
def test_any_text_makes_a_mask_of_the_size_or_is_refused(text):
    try:
        mask = coco_mask({"size": [3, 4], "counts": text})
    except InputError:
        return
    pixels = [place % 2 == 1 for place, length in enumerate(unpack(text)) for _ in range(length)]
    np.testing.assert_array_equal(mask, np.array(pixels).reshape(4, 3).T)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"counts": "<"}, "field 'size' is missing"),
        ({"size": [3], "counts": "<"}, r"field 'size' is \[3\]; it must be the numbers of rows and columns"),
        ({"size": [3, -4], "counts": "<"}, r"field 'size' is \[3, -4\]"),
        ({"size": [3, 4]}, "field 'counts' is missing"),
        ({"size": [3, 4], "counts": 7}, "field 'counts' is 7"),
        ({"size": [3, 4], "counts": ""}, "field 'counts': not run lengths as COCO packs them, or cut off: ''"),
        ({"size": [3, 4], "counts": "0161m"}, "or cut off: '0161m'"),
        ({"size": [3, 4], "counts": "016 1M"}, "not run lengths"),
        ({"size": [3, 4], "counts": "\ud800"}, "not run lengths"),
        ({"size": [3, 4], "counts": "P" * 20 + "0"}, "a run length of 105 bits"),
        ({"size": [3, 4], "counts": "5"}, "the runs make 5 pixels, and 3×4 are 12"),
        ({"size": [3, 4], "counts": "M"}, "must be whole numbers from 0 to 12, and are"),
        ({"size": [3, 4], "counts": [6, -1, 7]}, "must be whole numbers from 0 to 12"),
        ({"size": [3, 4], "counts": [6, 6.0]}, "must be whole numbers, and are"),
        ({"size": [3, 4], "counts": [10**30]}, "must be whole numbers from 0 to 12"),
        ({"size": [3, 4], "counts": []}, "must be whole numbers from 0 to 12"),
        ({"size": [3, 4], "counts": ["6", [6]]}, "must be whole numbers, and are"),
        ({"size": [2**20, 2**20], "counts": [2**40]}, "so many pixels"),
    ],
)
def test_what_makes_no_mask_is_refused(record, message):
    with pytest.raises(InputError, match=message):
        coco_mask(record)


@given(st_np.arrays(bool, st_np.array_shapes(min_dims=2, max_dims=2, max_side=8)))
def test_any_mask_becomes_the_runs_of_a_walk_and_comes_back(mask_YxX):
    runs = to_runs(mask_YxX)
    assert runs == runs_of(mask_YxX.ravel())
    np.testing.assert_array_equal(from_runs(runs, mask_YxX.shape, by_columns=False), mask_YxX)
