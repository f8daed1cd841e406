"""Video files, read through PyAV."""

import contextlib
import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import av.container
import av.error
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from aloe.errors import InputError

# AREA averages all the source pixels under a target pixel, so downsampling does not alias. Without FULL_CHR_H_INT the
# colours come out up to 2 of 255 too dark; BITEXACT makes them the same on every processor.
_RESIZING = Interpolation.AREA | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_NUMBERED = re.compile(r"%0\d+d")  # FFmpeg's pattern for numbered pictures


@dataclass(frozen=True)
class VideoInfo:
    """Number of frames, width and height in pixels, frames per second."""

    frames: int
    width: int
    height: int
    fps: float


def probe(path: Path, decode: bool = False, at_least: int = 1) -> VideoInfo:
    """Returns the properties of a video file.

    Args:
      path: the file.
      decode: whether to decode the whole file and count the intact frames. Otherwise the count is the header's, which
        a damaged file still carries; a file whose header has none is decoded in any case.
      at_least: the number of frames that it must have.

    Raises:
      InputError: there is no such file, it is not a video, or it is too short; the message names the file and the
        expected and found number of frames.
    """
    with _opened(path, at_least) as container:
        stream = container.streams.video[0]
        frames = 0 if decode else stream.frames
        if not frames:
            frames = sum(1 for _ in _whole_frames(container))
        if frames < at_least:
            raise _short(path, at_least, frames)
        return VideoInfo(frames, stream.width, stream.height, float(stream.guessed_rate or 0))


def frame_size(path: Path) -> tuple[int, int]:
    """Rows and columns of a video, from its header. Raises InputError if there is no such file or it is not a video."""
    with _opened(path, 1) as container:
        stream = container.streams.video[0]
        return stream.height, stream.width


def read_frames(
    path: Path, indices: Sequence[int], size: tuple[int, int] | None = None, usual: tuple[int, int] | None = None
) -> np.ndarray:
    """Decodes some frames of a video, or a picture, of 8 bits per channel: YUV, RGB, or RGBA, whose alpha is dropped.

    Greyscale, palettes and 16 bits are rejected: no data set has them, so some program has changed the file.

    Args:
      path: the file.
      indices: numbers of the frames, from 0, in any order.
      size: (rows, columns) to resize the whole frame to, without cropping; None keeps the size of the video.
      usual: (rows, columns) that the video must have, as others do; None accepts any.

    Returns:
      frames_FxYxXx3, uint8 RGB, in the order of `indices`.

    Raises:
      InputError: the file is broken, or has too few frames, frames that differ in size from each other or from the
        usual one, or other pixel formats; the message names the file, and what was expected and found.
    """
    if len(indices) == 0 or min(indices) < 0:
        raise ValueError(f"frame numbers must be zero or more, and at least one, not {list(indices)}")
    wanted = set(indices)
    needed = max(wanted) + 1
    pictures: dict[int, np.ndarray] = {}
    reformatter = VideoReformatter()
    found = 0
    with _opened(path, needed) as container:
        first: av.VideoFrame | None = None
        for frame in itertools.islice(_whole_frames(container), needed):
            first = frame if first is None else first
            if (frame.width, frame.height) != (first.width, first.height):
                raise InputError(
                    f"{path}: frame {found} has {frame.width}×{frame.height} pixels, and those before it "
                    f"{first.width}×{first.height}: unpack, download or write it anew."
                )
            if usual and (frame.height, frame.width) != usual:
                raise InputError(
                    f"{path}: {frame.width}×{frame.height} pixels, and others beside it have {usual[1]}×{usual[0]}: "
                    "unpack, download or write it anew."
                )
            if not _has_colors(frame.format.name):
                raise InputError(
                    f"{path}: frame {found} is of the kind {frame.format.name}, and must have red, green and blue of 8 "
                    "bits each, with alpha or without: unpack, download or write it anew."
                )
            if found in wanted:
                rows, columns = size or (frame.height, frame.width)
                resized = reformatter.reformat(frame, columns, rows, "rgb24", interpolation=_RESIZING, threads=1)
                pictures[found] = resized.to_ndarray()
            found += 1
    if found < needed:
        raise _short(path, needed, found)
    return np.stack([pictures[number] for number in indices])


@functools.cache
def _has_colors(pixel_format: str) -> bool:
    """Whether a pixel has three colour channels, and perhaps alpha, all of 8 bits."""
    components = av.VideoFormat(pixel_format).components
    return sum(not each.is_alpha for each in components) == 3 and all(each.bits == 8 for each in components)


@contextlib.contextmanager
def _opened(path: Path, expected: int) -> Iterator[av.container.InputContainer]:
    """Opens a file, which must have a video stream. Failures to open or read become InputErrors.

    Of numbered pictures ("a_%02d.png"), the first `expected` must exist: FFmpeg would start with another one.
    """
    if _NUMBERED.search(path.name):
        pictures = (path.with_name(path.name % number) for number in range(expected))
        absent = next((picture for picture in pictures if not picture.is_file()), None)
        if absent:
            raise InputError(f"{absent}: there is no such picture, of {expected}: unpack, download or write it anew.")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise _short(path, expected, 0, "it holds no video")
            yield container
    except (av.FFmpegError, OSError) as error:
        raise _short(path, expected, 0, error.strerror) from error


def _whole_frames(container: av.container.InputContainer) -> Iterator[av.VideoFrame]:
    """Yields the decoded frames in order, up to the first damaged one."""
    try:
        for frame in container.decode(video=0):
            if frame.is_corrupt:
                return
            yield frame
    except av.error.InvalidDataError:
        return


def _short(path: Path, expected: int, found: int, reason: str | None = None) -> InputError:
    why = f" ({reason})" if reason else ""
    return InputError(
        f"{path}: expected {expected} or more frames, found {found}{why}. The file is missing, damaged or cut off: "
        "unpack, download or write it anew."
    )
