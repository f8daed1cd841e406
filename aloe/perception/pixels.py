"""The inputs of a model that computes the latents of videos itself: frames, and masks if it takes them."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from aloe.data import frames, masks
from aloe.data.frames import FrameStore
from aloe.data.skipped import DEFAULT_LIMIT, Skipped
from aloe.errors import InputError
from aloe.perception.config import MASKED_FRAMES


@dataclasses.dataclass(frozen=True)
class Pixels:
    """The frames of a split's videos, and their masks; see `open_pixels`."""

    frames: FrameStore
    masks: FrameStore | None = None

    @property
    def scene_indices(self) -> set[int]:
        """The videos for which frames and, if there are any, masks are stored."""
        found = set(self.frames.scene_indices)
        return found if self.masks is None else found & set(self.masks.scene_indices)

    def see(self, scene_index: int, frames_F: np.ndarray) -> dict[str, np.ndarray]:
        """`image`, [F, Y, X, 3] in uint8, and `masks`, [F, Y, X, G] as `aloe.data.masks` packs them.

        Args:
          scene_index: the video's scene index.
          frames_F: positions among the stored frames.
        """
        shown = {"image": self.frames.read(scene_index, frames_F)}
        if self.masks is not None:
            shown["masks"] = self.masks.read(scene_index, frames_F)
        return shown


def frame_numbers(config: ConfigDict, frames_of_a_video: int) -> list[int]:
    """The numbers of the frames that are stored for every video.

    Raises:
      InputError: a video does not have that many, or the model takes more.
    """
    number = config.data.frames_per_video
    if not config.model.frames <= number <= frames_of_a_video:
        raise InputError(
            f"config.data.frames_per_video = {number}: give a number from config.model.frames, {config.model.frames}, "
            f"to the {frames_of_a_video} frames of a video."
        )
    return frames.spread(frames_of_a_video, number)


def frames_folder(config: ConfigDict) -> Path:
    """The folder of the frames of this size and number, and of their masks."""
    size = config.perception.size
    root = Path(config.data.frames or Path(config.data.root) / "frames")
    return root / f"{size}x{size}-{config.data.frames_per_video}"


def open_pixels(
    config: ConfigDict,
    split: str,
    videos: Mapping[int, Path],
    scene_indices: Sequence[int],
    frames_of_a_video: int,
    limit: float = DEFAULT_LIMIT,
) -> Pixels:
    """Opens the frames of a split, decoding them first if necessary, and the masks that `launch/masks.py` wrote.

    Args:
      config: the resolved configuration.
      split: its name.
      videos: files by scene index.
      scene_indices: the videos of the split.
      frames_of_a_video: how many each has.
      limit: fraction of the videos that may be missing or broken; those are listed, counted and skipped.

    Raises:
      InputError: too many videos are broken, there are no masks, or what is stored is for other frames.
    """
    folder, size = frames_folder(config), config.perception.size
    numbers = frame_numbers(config, frames_of_a_video)
    found = None
    if config.perception.kind == MASKED_FRAMES:  # first, because decoding takes long
        name, slots = config.data.masks, config.model.slots
        found = masks.open(folder, split, name, scene_indices, numbers, size, slots)
    stored = frames.open_or_write(folder, split, videos, scene_indices, numbers, size, limit)
    pixels = Pixels(stored, found)
    skipped = Skipped(f"videos of the {split} split", len(scene_indices), limit)
    for index in sorted(set(scene_indices) - pixels.scene_indices):
        skipped.add(index, f"video {index} has no frames, or no masks")
    skipped.stop_if_too_many()
    return pixels
