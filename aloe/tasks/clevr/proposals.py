"""Masks from a folder, where whoever has masks of the official images can put them: one picture per image.

    <root>/masks/train/CLEVR_train_000012.png     8-bit grey or palette, as large as the image

A pixel's value is 0 for the background and n for object n, which goes to slot n − 1.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from aloe.data.checking import picture_size
from aloe.errors import InputError
from aloe.tasks.clevr import files

MODES = ("L", "P")


def find(root: Path) -> dict[int, Path]:
    """Scene index → the file to pass to `by_slot`.

    Raises:
      InputError: there are no such files.
    """
    found = files.find_named(root / "masks", ".png")
    if not found:
        example = root / "masks" / "train" / f"{files.official_name(0)}.png"
        raise InputError(f"{example}: neither this file nor that of another image is there; see proposals.py")
    return found


def by_slot(path: Path, frame_numbers: Sequence[int], size: int, slots: int) -> np.ndarray:
    """masks_FxNxYxX (bool) of an image; objects beyond the slots are dropped.

    Args:
      path: the picture of masks, as returned by `find`.
      frame_numbers: 0 and no other.
      size: number of rows and of columns; nearest-neighbour, so each takes the pixel at its centre.
      slots: N.

    Raises:
      InputError: the picture is missing, broken, in colour, or not the size of its image.
    """
    image = path.parents[2] / "images" / path.parent.name / path.name
    try:
        with Image.open(path) as picture:
            if picture.mode not in MODES:
                raise InputError(f"{path}: has the mode {picture.mode}; masks are 8-bit grey (L) or a palette (P)")
            if image.is_file() and picture.size != (size_of_image := picture_size(image)):
                raise InputError(
                    f"{path}: {picture.width}×{picture.height} pixels, and {image} has "
                    f"{size_of_image[0]}×{size_of_image[1]}; masks are as large as their image: write them anew"
                )
            number_YxX = np.asarray(picture.resize((size, size), Image.Resampling.NEAREST))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise InputError(f"{path}: not a whole picture: {error}; write it anew") from error
    mask_NxYxX = number_YxX == np.arange(1, slots + 1)[:, None, None]
    return mask_NxYxX[None][list(frame_numbers)]
