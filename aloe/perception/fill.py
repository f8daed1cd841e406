"""Fills a latents store with what an encoder makes of the videos of a split."""

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
    """What turns videos into latents: the oracle of a task, or trained perception.

    `slots` and `size` are N and D of a video.
    """

    slots: int
    size: int

    @property
    def frame_numbers(self) -> Sequence[int]:
        """Of the F frames that it encodes of every video, ascending."""

    @property
    def description(self) -> Mapping[str, Any]:
        """JSON that tells this encoder from every other one, down to its version or checkpoint."""

    def encode(self, scene_indices: Sequence[int]) -> Iterator[np.ndarray | InputError]:
        """Yields, for each video in turn, latents_FxNxD, or what is wrong with this video."""

    def remarks(self) -> list[str]:
        """What is worth telling after the encoding."""


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
    """Encodes the videos that the store at `path` has not yet; makes the store if there is none.

    Its progress is shown in frames: how many of all, how many a second, the time left.

    A file of the store is written when all its videos are encoded, so after an interruption the same call goes on from
    there.

    Args:
      path: folder of the store.
      scene_indices: all the videos that the store is for, in the order of its rows.
      encoder: what encodes them.
      limit: share of the videos that may be broken; they stay absent.
      name: what the progress bar is called.
      host, hosts: of every so many files of the store, this call writes one; others may fill the rest at the same time,
        once the store is there.

    Returns:
      The broken ones, of this call's share.

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
    """The store at `path` of just these videos and this encoder. Errors as `open_existing`."""
    store = open_existing(path, scene_indices, encoder)
    if store is None:
        numbers, slots, size = encoder.frame_numbers, encoder.slots, encoder.size
        return latents.create(path, scene_indices, numbers, slots, size, encoder.description)
    return store


def open_existing(path: epath.Path, scene_indices: Sequence[int], encoder: Encoder) -> latents.LatentsStore | None:
    """The same, and None where there is nothing yet.

    Raises:
      InputError: the one that is there is of another encoder or for other videos or frames.
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
