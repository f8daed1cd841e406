"""Masks as run lengths, as stored in files: how many pixels are outside the mask, then how many inside, alternately.

COCO's run down the columns, with the lengths as a list or packed into a string: each length is stored as the difference
from the one two before it (the first three as they are), in two's complement, split into groups of five bits, lowest
first; a character is 48 + group, + 32 if more groups follow. pycocotools does the same in C, but trusts its input.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from aloe.data.fields import field, within
from aloe.errors import InputError

_MOST_PIXELS = 1 << 28
_MOST_GROUPS = 7  # 35 bits, so that nothing overflows


def coco_mask(record: Any) -> np.ndarray:
    """Returns mask_YxX (bool) of a JSON object with `size`, [rows, columns], and `counts`, a string or a list.

    Raises:
      InputError: a field is missing or wrong, or the runs do not fill an image of that size.
    """
    size = field(record, "size", list)
    if len(size) != 2 or not all(type(length) is int and length > 0 for length in size):
        raise InputError(f"field 'size' is {size}; it must be the numbers of rows and columns")
    if size[0] * size[1] > _MOST_PIXELS:
        raise InputError(f"field 'size' is {size}; a picture of so many pixels is not decoded")
    packed = isinstance(record.get("counts"), str)
    counts = field(record, "counts", str if packed else list)
    with within("field 'counts'"):
        return from_runs(unpack(counts) if packed else counts, (size[0], size[1]), by_columns=True)


def from_runs(lengths: Sequence[int] | np.ndarray, shape: tuple[int, int], *, by_columns: bool) -> np.ndarray:
    """Returns mask_YxX (bool), decoded from run lengths.

    Args:
      lengths: lengths of runs that are alternately outside and inside the mask.
      shape: rows and columns.
      by_columns: whether runs go down the columns rather than along the rows.

    Raises:
      InputError: a length is negative or not a whole number, or they do not add up to the image.
    """
    pixels = shape[0] * shape[1]
    if not isinstance(lengths, np.ndarray) and not all(type(length) is int for length in lengths):
        raise InputError(f"the lengths of runs must be whole numbers, and are {lengths!r:.60}")
    runs = np.asarray(lengths)
    if runs.ndim != 1 or not np.issubdtype(runs.dtype, np.integer) or (runs < 0).any() or (runs > pixels).any():
        raise InputError(f"the lengths of runs must be whole numbers from 0 to {pixels}, and are {lengths!r:.60}")
    if runs.sum(dtype=np.int64) != pixels:
        raise InputError(f"the runs make {runs.sum(dtype=np.int64)} pixels, and {shape[0]}×{shape[1]} are {pixels}")
    of_mask = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return of_mask.reshape(shape[::-1]).T if by_columns else of_mask.reshape(shape)


def unpack(text: str) -> np.ndarray:
    """Returns the run lengths packed into a COCO string, int64.

    Raises:
      InputError: it is truncated, or not such a string.
    """
    codes = np.frombuffer(text.encode(errors="surrogatepass"), np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(codes & 32 == 0)
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or not len(ends) or ends[-1] != len(codes) - 1:
        raise InputError(f"not run lengths as COCO packs them, or cut off: {text[:40]!r}")
    starts = np.concatenate([[0], ends[:-1] + 1])
    groups = ends - starts + 1
    if groups.max() > _MOST_GROUPS:
        raise InputError(f"a run length of {5 * groups.max()} bits")
    shift = 5 * (np.arange(len(codes)) - np.repeat(starts, groups))
    lengths = np.add.reduceat((codes & 31) << shift, starts)
    lengths -= np.where(codes[ends] & 16, 1 << 5 * groups, 0)  # the sign, in two's complement
    lengths[1::2] = np.cumsum(lengths[1::2])
    lengths[2::2] = np.cumsum(lengths[2::2])
    return lengths


def to_runs(mask_YxX: np.ndarray) -> list[int]:
    """Returns the run lengths of a mask along its rows, for `from_runs` to read; the first is outside the mask."""
    changes = np.flatnonzero(np.diff(mask_YxX.ravel(), prepend=False))
    return np.diff(changes, prepend=0, append=mask_YxX.size).tolist()
