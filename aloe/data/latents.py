"""The latents store: the object latents of every frame of a split, read one video at a time.

A zarr3 array `latents_VxFxNxD` (V videos), float32, accessed through tensorstore. With the sharding codec a video is
one inner chunk, hence one read, and a file holds many videos, fewer in a small store. A video not yet written reads as
NaN and takes no space. The store describes itself: its attributes say which videos (scene indices) its rows are, which
of their frames it holds and what encoded them.

    <path>/zarr.json          shape, codecs; attributes "scene_indices", "frame_numbers" and "encoder"
    <path>/c/0/0/0/0, …       the shards, each with a checksum per video; written whole or not at all
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorstore
from etils import epath

from aloe.errors import InputError
from aloe.paths import kvstore

SHARD_BYTES = 8 << 20  # maximum size of a file
SHARES = 64  # minimum number of files, or one per video: a kill loses one file, and hosts divide them up
CACHE_BYTES = 1 << 30  # more than 10,000 videos of 128 frames and 8 × 16 numbers take: 0.66 GB
INDEX_BYTES = 16 << 20  # size of tensorstore's own cache, for the indices of the files

_MEND = "Write it with: python launch/encode.py --task=… --data=… --splits=…, or python launch/import_released.py …"


class LatentsStore:
    """An existing latents store, as returned by `create` and `open`.

    It can be pickled and used from many threads: the array is opened on first use in each process.

    Attributes:
      path: its folder.
      cache_bytes: memory limit of the read cache; 0 disables it. It holds the videos themselves, not tensorstore's
        chunks, which every read would have to copy: ten times slower.
    """

    def __init__(self, path: epath.Path, cache_bytes: int = CACHE_BYTES) -> None:
        self.path = epath.Path(path)
        self.cache_bytes = cache_bytes
        self._kept: dict[int, np.ndarray] = {}

    def __reduce__(self) -> tuple[type, tuple[epath.Path, int]]:
        return LatentsStore, (self.path, self.cache_bytes)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(V, F, N, D)"""
        videos, frames, slots, size = self._array.shape
        return videos, frames, slots, size

    @functools.cached_property
    def scene_indices(self) -> np.ndarray:
        """Scene index of each row, int64 of shape [V]."""
        return np.array(self._metadata["attributes"]["scene_indices"], np.int64)

    @functools.cached_property
    def frame_numbers(self) -> tuple[int, ...]:
        """Numbers of the F frames in every video, ascending. A store that does not record them has the first F."""
        return tuple(self._metadata["attributes"].get("frame_numbers", range(self.shape[1])))

    @property
    def encoder(self) -> dict[str, Any]:
        """What encoded the latents: its name, version and whatever else distinguishes it from others."""
        return self._metadata["attributes"]["encoder"]

    @property
    def videos_per_shard(self) -> int:
        """Number n of rows per file. A file, rows k·n to (k+1)·n, is best written at once."""
        return self._metadata["chunk_grid"]["configuration"]["chunk_shape"][0]

    def read(self, scene_index: int) -> np.ndarray:
        """Reads the latents of one video, latents_FxNxD in float32, a read-only array.

        Raises:
          InputError: the store has no such video, it has not been written yet, or its data is damaged.
        """
        if scene_index in self._kept:
            return self._kept[scene_index]
        row = self._row(scene_index)
        try:
            latents_FxNxD = self._array[row].read().result()
        except ValueError as error:
            raise InputError(
                f"{self.path}: the latents of video {scene_index} are damaged: {_reason(error)}. Delete the folder "
                f"and encode anew. {_MEND}"
            ) from error
        if np.isnan(latents_FxNxD).any():
            raise InputError(f"{self.path}: video {scene_index} has no latents yet. {_MEND}")
        latents_FxNxD.setflags(write=False)
        if (len(self._kept) + 1) * latents_FxNxD.nbytes <= self.cache_bytes:
            self._kept[scene_index] = latents_FxNxD
        return latents_FxNxD

    def see(self, scene_index: int, frames_F: np.ndarray) -> dict[str, np.ndarray]:
        """The model's input for some frames of a video, given as positions in `frame_numbers`: latents_FxNxD."""
        return {"latents": self.read(scene_index)[frames_F]}

    def write(self, scene_indices: Sequence[int], latents_VxFxNxD: np.ndarray) -> None:
        """Writes the latents of some videos. Videos of the same file, if written in one call, cost one write of it.

        Raises:
          InputError: the store has no such video, the latents have another shape or are not finite, or the disk is
            full; the videos of a file are either all written or none of them.
        """
        latents_VxFxNxD = np.asarray(latents_VxFxNxD, np.float32)
        expected = (len(scene_indices), *self.shape[1:])
        if latents_VxFxNxD.shape != expected:
            raise InputError(
                f"{self.path}: latents of shape {latents_VxFxNxD.shape} do not fit; {len(scene_indices)} videos of "
                f"this store have the shape {expected} (videos, frames, slots, size). Give another folder."
            )
        finite_V = np.isfinite(latents_VxFxNxD).all(axis=(1, 2, 3))
        if not finite_V.all():
            broken = scene_indices[int(np.argmin(finite_V))]
            raise InputError(f"{self.path}: the latents of video {broken} are not finite; the encoder is at fault")
        rows = [self._row(scene_index) for scene_index in scene_indices]
        for scene_index in scene_indices:
            self._kept.pop(scene_index, None)
        try:
            with tensorstore.Transaction() as transaction:  # so that each file is written once
                self._array.with_transaction(transaction)[rows] = latents_VxFxNxD
        except ValueError as error:
            raise InputError(
                f"{self.path}: cannot be written: {_reason(error)}. What was written before is whole: make room, and "
                "run the same command again; it goes on from there."
            ) from error

    def missing(self) -> np.ndarray:
        """Scene indices of the videos that have not been written, int64, in the order of the rows.

        This reads only the indices of the shards, not the latents.

        Raises:
          InputError: a shard is truncated, or its index is damaged.
        """
        counts = [self._array[row].storage_statistics(query_not_stored=True) for row in range(self.shape[0])]
        try:
            absent_V = np.array([count.result().not_stored for count in counts], bool)
        except ValueError as error:
            raise InputError(
                f"{self.path}: a file of it is cut off or damaged: {_reason(error)}. Delete that file, and encode its "
                f"videos anew; the other files are kept. {_MEND}"
            ) from error
        return self.scene_indices[absent_V]

    def _row(self, scene_index: int) -> int:
        if scene_index not in self._rows:
            raise InputError(
                f"{self.path}: video {scene_index} is none of the {self.shape[0]} videos of this store, "
                f"{self.scene_indices.min()} to {self.scene_indices.max()}. Is it the store of another split? {_MEND}"
            )
        return self._rows[scene_index]

    @functools.cached_property
    def _rows(self) -> dict[int, int]:
        return {int(scene_index): row for row, scene_index in enumerate(self.scene_indices)}

    @functools.cached_property
    def _metadata(self) -> dict[str, Any]:
        return self._array.spec().to_json()["metadata"]

    @functools.cached_property
    def _array(self) -> tensorstore.TensorStore:
        context = tensorstore.Context({"cache_pool": {"total_bytes_limit": min(INDEX_BYTES, self.cache_bytes)}})
        try:
            array = tensorstore.open(_spec(self.path), open=True, context=context).result()
        except ValueError as error:
            raise InputError(f"{self.path}: the latents store cannot be opened: {_reason(error)}. {_MEND}") from error
        if not _is_latents_store(array):
            raise InputError(f"{self.path}: a zarr array, but not a latents store; give another folder. {_MEND}")
        return array


class SomeFrames:
    """A view of a store's videos, restricted to some of its frames.

    Attributes:
      store: the store; it has all of `frame_numbers`.
      frame_numbers: numbers of the frames in the view, ascending.
    """

    def __init__(self, store: LatentsStore, frame_numbers: Sequence[int]) -> None:
        self.store = store
        self.frame_numbers = tuple(frame_numbers)
        place = {number: place for place, number in enumerate(store.frame_numbers)}
        self._places_F = np.array([place[number] for number in frame_numbers])

    def see(self, scene_index: int, frames_F: np.ndarray) -> dict[str, np.ndarray]:
        """Same contract as `LatentsStore.see`, with positions in this view's `frame_numbers`."""
        return self.store.see(scene_index, self._places_F[frames_F])


def create(
    path: epath.Path,
    scene_indices: Sequence[int],
    frame_numbers: Sequence[int],
    slots: int,
    size: int,
    encoder: Mapping[str, Any],
) -> LatentsStore:
    """Creates a store in which no video has been written yet.

    Args:
      path: its folder, which must not contain a store.
      scene_indices: the videos, in the order of the rows.
      frame_numbers: numbers of the F frames stored for each video, ascending.
      slots, size: N and D.
      encoder: JSON that describes what encodes the latents; `open` compares it as a whole.

    Raises:
      InputError: there is a store already, a video is listed twice, none is listed, or the folder cannot be written.
    """
    rows = [int(scene_index) for scene_index in scene_indices]
    if not rows or len(set(rows)) != len(rows):
        raise InputError(f"{path}: {len(rows)} scene indices, {len(set(rows))} different; each video has one row")
    if (path / "zarr.json").exists():
        raise InputError(f"{path}: there is a latents store already; give another folder, or delete this one")
    video_shape = [len(frame_numbers), slots, size]
    per_shard = min(max(1, len(rows) // SHARES), max(1, SHARD_BYTES // (4 * math.prod(video_shape))))
    inner_codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
    sharding = {"chunk_shape": [1, *video_shape], "codecs": inner_codecs}
    metadata = {
        "shape": [len(rows), *video_shape],
        "data_type": "float32",
        "fill_value": "NaN",
        "dimension_names": ["video", "frame", "slot", "latent"],
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [per_shard, *video_shape]}},
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "attributes": {"scene_indices": rows, "frame_numbers": list(frame_numbers), "encoder": dict(encoder)},
    }
    try:
        tensorstore.open({**_spec(path), "metadata": metadata}, create=True).result()
    except ValueError as error:
        raise InputError(
            f"{path}: no store can be made here: {_reason(error)}. Make room, or name another folder."
        ) from error
    return open(path)


def open(path: epath.Path, encoder: Mapping[str, Any] | None = None, cache_bytes: int = CACHE_BYTES) -> LatentsStore:
    """Opens an existing store.

    Args:
      path: its folder.
      encoder: if given, the store must have been filled by exactly this encoder.
      cache_bytes: memory limit of the read cache in each process; 0 disables it.

    Raises:
      InputError: there is no latents store, it is damaged, or it was filled by another encoder.
    """
    if not (path / "zarr.json").is_file():
        if path.is_dir() and any(path.iterdir()):
            raise InputError(
                f"{path}: there is no latents store here, for it has no zarr.json, but other files are: what is left "
                "of a store, or something else. Delete this folder, or name another one, and encode anew."
            )
        raise InputError(f"{path}: there is no latents store here. {_MEND}")
    store = LatentsStore(path, cache_bytes)
    found = store.encoder  # opens the array, so that errors show here and not in a reader thread
    if encoder is not None and found != dict(encoder):
        raise InputError(
            f"{path}: this store was filled by the encoder {found}, not by {dict(encoder)}. Give another "
            "folder, or delete this one and encode anew."
        )
    return store


def _spec(path: epath.Path) -> dict[str, Any]:
    return {
        "driver": "zarr3",
        "kvstore": kvstore(path),
        # The files of a store are final once written: revalidating them at every read would cost time.
        "recheck_cached_data": "open",
        "recheck_cached_metadata": "open",
    }


def _is_latents_store(array: tensorstore.TensorStore) -> bool:
    attributes = array.spec().to_json()["metadata"].get("attributes", {})
    rows, encoder = attributes.get("scene_indices"), attributes.get("encoder")
    return (
        array.rank == 4
        and array.dtype.name == "float32"
        and isinstance(encoder, dict)
        and isinstance(rows, list)
        and len(rows) == array.shape[0]
        and all(isinstance(row, int) for row in rows)
    )


def _reason(error: ValueError) -> str:
    return str(error).split(" [")[0]  # without the specification that tensorstore appends
