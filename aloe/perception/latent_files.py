"""Latents made by others, one file per video, read as if an encoder made them: the way into a latents store.

<folder>/**/12.npz      latents_FxNxD of video 12; plain npy content, whatever the suffix, or an archive of one array
"""

import functools
import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from aloe.data.numbered import find_numbered
from aloe.data.parallel import ordered_map
from aloe.errors import InputError

_NAME = re.compile(r"(\d+)\.np[yz]")
_NPY, _ZIP = b"\x93NUMPY", b"PK\x03\x04"


class LatentFiles:
    """The files of some videos in a folder, as an encoder for `aloe.perception.fill`.

    Attributes:
      description: what the latents store records about its source. The files do not say what made them, so they are
        identified by the first one that is intact: its video, and a checksum of its latents.
      frame_numbers: numbers of the F frames; slots, size: N and D of a video.
    """

    def __init__(
        self,
        folder: Path,
        scene_indices: Sequence[int],
        shape: tuple[int, int, int],
        name: str,
        workers: int | None = None,
    ) -> None:
        """Finds the files, wherever they are below `folder`.

        Args:
          folder: the folder of the files.
          scene_indices: the videos that a store is to be filled with.
          shape: F, N and D, which all files must have.
          name: name of their source.
          workers: reader processes; by default one per core if there are many files.

        Raises:
          InputError: no file of these videos can be read, or a video has two.
        """
        if not folder.is_dir():
            raise InputError(f"{folder}: there is no such folder; name the one that the archive was unpacked to.")
        self.frame_numbers, (self.slots, self.size) = range(shape[0]), shape[1:]
        self._folder = folder
        self._paths = find_numbered(folder, _NAME)
        self._workers = workers
        problems = []
        for index in scene_indices:
            result = _read_or_problem(folder, shape, (index, self._paths.get(index)))
            if not isinstance(result, InputError):
                checksum = hashlib.sha256(result.astype("<f4").tobytes()).hexdigest()[:16]
                self.description = {"name": name, "video": int(index), "checksum": checksum}
                return
            problems.append(str(result))
        raise InputError(
            f"{folder}: none of the {len(scene_indices)} videos has latents here that can be read:\n  "
            + "\n  ".join(problems[:5])
        )

    def encode(self, scene_indices: Sequence[int]) -> Iterator[np.ndarray | InputError]:
        """Yields the latents of each video in turn, or what is wrong if its file is missing or broken."""
        read = functools.partial(_read_or_problem, self._folder, (len(self.frame_numbers), self.slots, self.size))
        return ordered_map(read, [(index, self._paths.get(index)) for index in scene_indices], self._workers)

    def remarks(self) -> list[str]:
        return []


def read_latents(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Reads the latents of one video, latents_FxNxD of this shape, in float32. Pickles are never loaded.

    Raises:
      InputError: the file is neither npy content nor an archive of one array, is damaged, or its array does not hold
        finite floating-point numbers of this shape.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_NPY))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if not start.startswith((_NPY, _ZIP)):
        raise InputError(
            f"{path}: neither npy content nor an npz archive, but a file that begins with {start!r}; nothing else is "
            "read, and no pickle is ever loaded. Unpack it anew."
        )
    try:
        array = _load(path)
    except InputError:
        raise
    except Exception as error:  # NumPy, zipfile and zlib raise a dozen types for damaged bytes
        raise InputError(f"{path}: damaged, or no plain array: {error}. Unpack it anew.") from error
    if array.shape != shape:
        raise InputError(f"{path}: an array of shape {array.shape}; it must be {shape} (frames, slots, size)")
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"{path}: an array of {array.dtype}; latents must be floating-point numbers")
    with np.errstate(over="ignore"):  # infinity is reported below
        latents_FxNxD = array.astype(np.float32)
    if not np.isfinite(latents_FxNxD).all():
        raise InputError(f"{path}: holds numbers that are not finite in float32. Unpack it anew.")
    return latents_FxNxD


def _load(path: Path) -> np.ndarray:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded as archive:
        if len(archive.files) != 1:
            raise InputError(
                f"{path}: an archive of {len(archive.files)} arrays {archive.files[:5]}; it must be of one"
            )
        return np.asarray(archive[archive.files[0]])


def _read_or_problem(
    folder: Path, shape: tuple[int, int, int], found: tuple[int, Path | None]
) -> np.ndarray | InputError:
    index, path = found
    if path is None:
        return InputError(f"{folder}: no {index}.npz of video {index} here or in a folder below; unpack it anew")
    try:
        return read_latents(path, shape)
    except InputError as error:
        return error
