"""Fills a latents store by encoding the videos of a split."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from etils import epath

from aloe.data import latents
from aloe.data.skipped import DEFAULT_LIMIT, Skipped
from aloe.errors import InputError
from aloe.progress_bar import progress_bar


class Encoder(Protocol):
    """Turns videos into latents: the oracle of a task, or trained perception.

    `slots` and `size` are N and D of a video.
    """

    slots: int
    size: int

    @property
    def frame_numbers(self) -> Sequence[int]:
        """Numbers of the F frames that it encodes of every video, ascending."""

    @property
    def description(self) -> Mapping[str, Any]:
        """JSON that distinguishes this encoder from every other one, down to its version or checkpoint."""

    def encode(self, scene_indices: Sequence[int]) -> Iterator[np.ndarray | InputError]:
        """Yields, for each video in turn, latents_FxNxD, or what is wrong with this video."""

    def remarks(self) -> list[str]:
        """Remarks to print after the encoding."""


def fill(
    path: epath.Path,
    scene_indices: Sequence[int],
    encoder: Encoder,
    limit: float = DEFAULT_LIMIT,
    name: str = "latents",
    *,
    host: int = 0,
    hosts: int = 1,
) -> Skipped:
    """Encodes the videos that are still missing from the store at `path`; creates the store if there is none.

    Progress is shown in frames: how many of all, how many per second, the time left.

    A file of the store is written once all its videos are encoded, so after an interruption the same call resumes from
    there.

    Args:
      path: folder of the store.
      scene_indices: all the videos that the store is for, in the order of its rows.
      encoder: their encoder.
      limit: fraction of the videos that may be broken; they stay absent.
      name: label of the progress bar.
      host, hosts: this call writes every `hosts`-th file of the store, from file `host` on; other hosts may fill the
        rest at the same time, once the store exists.

    Returns:
      The broken videos of this call's share.

    Raises:
      InputError: the store is of another encoder or for other videos, or too many videos are broken.
    """
    store = create_or_open(path, scene_indices, encoder)
    file_of = {int(index): row // store.videos_per_shard for row, index in enumerate(store.scene_indices)}
    share = [index for index, file in file_of.items() if file % hosts == host]
    missing = set(store.missing().tolist())
    absent = [index for index in share if index in missing]
    skipped = Skipped(name, len(share), limit)
    encoded = zip(absent, encoder.encode(absent), strict=True)
    frames, done = len(store.frame_numbers), len(share) - len(absent)
    with progress_bar(desc=name, total=len(share) * frames, initial=done * frames, unit="frame") as bar:
        for _, in_one_file in itertools.groupby(encoded, lambda pair: file_of[pair[0]]):
            good: dict[int, np.ndarray] = {}
            for index, result in in_one_file:
                bar.update(frames)
                if isinstance(result, InputError):
                    skipped.add(index, result)
                    skipped.stop_if_too_many()
                else:
                    good[index] = result
            if good:
                store.write(list(good), np.stack(list(good.values())))
    return skipped


def create_or_open(path: epath.Path, scene_indices: Sequence[int], encoder: Encoder) -> latents.LatentsStore:
    """Opens, or creates, the store at `path` for exactly these videos and this encoder. Raises as `open_existing`."""
    store = open_existing(path, scene_indices, encoder)
    if store is None:
        numbers, slots, size = encoder.frame_numbers, encoder.slots, encoder.size
        return latents.create(path, scene_indices, numbers, slots, size, encoder.description)
    return store


def open_existing(path: epath.Path, scene_indices: Sequence[int], encoder: Encoder) -> latents.LatentsStore | None:
    """Opens the store at `path` for exactly these videos and this encoder; None if there is nothing yet.

    Raises:
      InputError: the existing store is of another encoder or for other videos or frames.
    """
    if not path.exists() or not any(path.iterdir()):
        return None
    store = latents.open(path, encoder.description)
    if store.scene_indices.tolist() != list(scene_indices):
        raise InputError(
            f"{path}: this store is for {len(store.scene_indices)} videos, and the question file names "
            f"{len(scene_indices)}, or others. Give another folder, or delete this one and encode anew."
        )
    if store.frame_numbers != tuple(encoder.frame_numbers):
        raise InputError(
            f"{path}: this store has {len(store.frame_numbers)} frames of each video, and "
            f"{len(encoder.frame_numbers)}, or others, are to be encoded. Give another folder, or delete this one and "
            "encode anew."
        )
    return store
