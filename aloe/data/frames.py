"""The frame store: some frames of every video of a split, small and decoded, for training with random access.

Decoding one frame of a video means decoding all frames before it, so it is done once. A store is two files in a folder:

    <split>_frames.npy     frames_VxFxYxXx3, uint8 RGB, memory-mapped for reading: a frame is one read of 12 kB
    <split>_frames.json    the videos (scene indices) of its rows, and the numbers of their frames; written last

Other per-frame data is stored the same way (`aloe.data.masks`).
"""

import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from aloe.data.checking import common_size
from aloe.data.fields import field, read_json, within
from aloe.data.parallel import ordered_map
from aloe.data.skipped import DEFAULT_LIMIT, Skipped
from aloe.data.video import frame_size, read_frames
from aloe.data.whole import write_whole
from aloe.errors import InputError
from aloe.progress_bar import progress_bar


class FrameStore(Sequence[np.ndarray]):
    """An existing frame store, see `open_or_write`. Its elements are the frames, image_YxXx3, video by video.

    It can be pickled and used from many threads: the file is mapped on first use in each process.

    Attributes:
      path: the .npy file.
      scene_indices: the videos, in the order of the rows.
      frame_numbers: numbers of the stored frames in every video, ascending.
    """

    def __init__(self, path: Path, scene_indices: Sequence[int], frame_numbers: Sequence[int]) -> None:
        self.path = path
        self.scene_indices = tuple(scene_indices)
        self.frame_numbers = tuple(frame_numbers)

    def __reduce__(self) -> tuple[type, tuple[Path, Sequence[int], Sequence[int]]]:
        return FrameStore, (self.path, self.scene_indices, self.frame_numbers)

    def __len__(self) -> int:
        return len(self.scene_indices) * len(self.frame_numbers)

    def __getitem__(self, place: int) -> np.ndarray:  # type: ignore[override]  # slices are not needed
        video, frame = self.place(place)
        return np.array(self._frames_VxFxYxXx3[video, frame])  # copied out of the memory map, in one read

    def read(self, scene_index: int, places_F: np.ndarray) -> np.ndarray:
        """Reads some frames of one video, frames_FxYxXx3, given as positions in `frame_numbers`."""
        return self._frames_VxFxYxXx3[self._rows[scene_index], places_F]

    @functools.cached_property
    def _rows(self) -> dict[int, int]:
        return {scene_index: row for row, scene_index in enumerate(self.scene_indices)}

    def place(self, place: int) -> tuple[int, int]:
        """Video and frame of an element, as positions in `scene_indices` and `frame_numbers`."""
        if not 0 <= place < len(self):
            raise IndexError(place)
        return divmod(place, len(self.frame_numbers))

    @functools.cached_property
    def _frames_VxFxYxXx3(self) -> np.ndarray:
        return np.load(self.path, mmap_mode="r", allow_pickle=False)


def open_or_write(
    folder: Path,
    split: str,
    videos: Mapping[int, Path],
    scene_indices: Sequence[int],
    frame_numbers: Sequence[int],
    size: int,
    limit: float = DEFAULT_LIMIT,
) -> FrameStore:
    """Opens the store of a split; if there is none, decodes the videos first, showing progress.

    Args:
      folder: the store's folder.
      split: its name.
      videos: files by scene index.
      scene_indices: the videos that the store is for.
      frame_numbers: which frames of each video, ascending.
      size: number of rows, and of columns, to which the whole frame is resized, without cropping.
      limit: fraction of the videos that may be missing or broken; those are listed, counted and skipped.

    Raises:
      InputError: the existing store is damaged or for other videos or frames, or too many videos are broken.
    """
    path = folder / f"{split}_frames"
    if not path.with_suffix(".json").exists():
        write(folder, split, videos, scene_indices, frame_numbers, size, limit)
    mend = f"Delete {folder}, or name another one with --config.data.frames."
    return open_arrays(path, scene_indices, frame_numbers, (size, size, 3), mend)[0]


def open_arrays(
    path: Path, scene_indices: Sequence[int], frame_numbers: Sequence[int], shape: tuple[int, ...], mend: str
) -> tuple[FrameStore, dict[str, Any]]:
    """Opens an existing store, and returns it with the record beside it.

    Args:
      path: path of both files, without their suffixes.
      scene_indices, frame_numbers: the videos and frames that it must be for.
      shape: shape of what is stored per frame.
      mend: how to fix a mismatch, for the message.

    Raises:
      InputError: it is for other videos or frames, or damaged.
    """
    index = path.with_suffix(".json")
    record = read_json(index)
    with within(index):
        found = field(record, "scene_indices", list), field(record, "frame_numbers", list)
        broken = field(record, "broken", list)
    if found[1] != list(frame_numbers) or sorted(found[0] + broken) != sorted(scene_indices):
        raise InputError(
            f"{index}: this frame store is of other videos or frames: {len(found[0]) + len(broken)} videos with "
            f"{len(found[1])} frames, not {len(scene_indices)} with {len(frame_numbers)}. {mend}"
        )
    store = FrameStore(path.with_suffix(".npy"), *found)
    wanted = (len(found[0]), len(frame_numbers), *shape)
    anew = f"Delete {index} and it; they are written anew."
    try:
        array = store._frames_VxFxYxXx3
    except (OSError, ValueError) as error:
        raise InputError(f"{store.path}: cannot be read: {error}. {anew}") from error
    if (array.dtype, array.shape) != (np.uint8, wanted):
        raise InputError(f"{store.path}: is {array.dtype} of the shape {array.shape}, not uint8 of {wanted}. {anew}")
    return store, record


def write(
    folder: Path,
    split: str,
    videos: Mapping[int, Path],
    scene_indices: Sequence[int],
    frame_numbers: Sequence[int],
    size: int,
    limit: float = DEFAULT_LIMIT,
) -> None:
    """Decodes the videos of a split into a store, whole or not at all. Same contract as `open_or_write`."""
    read = functools.partial(decode, frame_numbers=tuple(frame_numbers), size=size, usual=usual_sizes(videos))
    decoded = ordered_map(read, [(index, videos.get(index)) for index in scene_indices])
    write_arrays(
        folder / f"{split}_frames", decoded, scene_indices, frame_numbers, (size, size, 3), f"the {split} split", limit
    )


def write_arrays(
    path: Path,
    arrays: Iterable[np.ndarray | InputError],
    scene_indices: Sequence[int],
    frame_numbers: Sequence[int],
    shape: tuple[int, ...],
    what: str,
    limit: float = DEFAULT_LIMIT,
    **told: Any,
) -> int:
    """Writes a store, whole or not at all, showing progress.

    Args:
      path: path of both files, without their suffixes.
      arrays: for each video in turn, uint8 of shape [F, *shape], or what is wrong with it.
      scene_indices, frame_numbers: the videos and frames that the arrays are of.
      shape: shape of what is stored per frame.
      what: what the videos belong to, for messages.
      limit: fraction of the videos that may be broken; those are listed, counted and skipped.
      told: further fields of the record.

    Returns:
      How many videos are in the store.

    Raises:
      InputError: too many videos are broken, or the disk is full.
    """
    skipped = Skipped(f"videos of {what}", len(scene_indices), limit)
    good: list[int] = []
    progress = progress_bar(arrays, f"{path.name.rpartition('_')[2]} of {what}", len(scene_indices), unit="video")

    def fill(partial: Path) -> None:
        with partial.open("wb") as file:
            _write_header(file, 0, frame_numbers, shape)
            for index, array_Fx in zip(scene_indices, progress, strict=True):
                if isinstance(array_Fx, InputError):
                    skipped.add(index, array_Fx)
                    skipped.stop_if_too_many()
                else:
                    good.append(index)
                    file.write(array_Fx.tobytes())
            file.seek(0)
            _write_header(file, len(good), frame_numbers, shape)

    try:
        write_whole(path.with_suffix(".npy"), fill)
        record = {"scene_indices": good, "broken": list(skipped.problems), "frame_numbers": list(frame_numbers)}
        write_whole(path.with_suffix(".json"), json.dumps(record | told))
    except OSError as error:
        gigabytes = len(scene_indices) * len(frame_numbers) * math.prod(shape) / 1e9
        raise InputError(
            f"{path.parent}: {error.strerror} while {path.name} was written, {gigabytes:.1f} GB. Make room, or name a "
            "folder elsewhere (--config.data.frames for frames), or take fewer frames of a video."
        ) from error
    if skipped:
        print(skipped.summary(), flush=True)
    return len(good)


def spread(total: int, number: int) -> list[int]:
    """`number` positions out of `total`, evenly spaced from the first: 0, 4, …, 124 for 32 of 128."""
    return [place * total // number for place in range(number)]


def usual_sizes(videos: Mapping[int, Path]) -> dict[Path, tuple[int, int]]:
    """Maps each folder to the rows and columns that most of its first videos have, if any of them can be read.

    Splits and cameras whose sizes may differ are in separate folders.

    Args:
      videos: files by scene index, all that there are.
    """
    in_folder: dict[Path, list[Path]] = {}
    for index in sorted(videos):
        in_folder.setdefault(videos[index].parent, []).append(videos[index])
    sizes = {folder: common_size(paths, frame_size) for folder, paths in in_folder.items()}
    return {folder: size for folder, size in sizes.items() if size}


def decode(
    found: tuple[int, Path | None],
    frame_numbers: Sequence[int],
    size: int,
    usual: Mapping[Path, tuple[int, int]] | None = None,
) -> np.ndarray | InputError:
    """Decodes some frames of a video, or returns what is wrong with it.

    Args:
      found: the video's scene index and its file.
      frame_numbers: which frames.
      size: number of rows, and of columns, to which the whole frame is resized.
      usual: as returned by `usual_sizes`; a video whose size differs from that of its folder is broken.

    Returns:
      frames_FxYxXx3 in uint8.
    """
    index, path = found
    if path is None:
        return InputError(f"no video of scene_index {index} was found in the data folder")
    try:
        return read_frames(path, frame_numbers, (size, size), (usual or {}).get(path.parent))
    except InputError as error:
        return error


def _write_header(file: BinaryIO, videos: int, frame_numbers: Sequence[int], shape: tuple[int, ...]) -> None:
    """Writes the header. NumPy leaves room in it for the first axis to grow, so it can be rewritten in place."""
    whole = (videos, len(frame_numbers), *shape)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": whole})
