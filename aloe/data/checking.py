"""Checks of a data folder for use by any task: files by scene index, and latents stores."""

import collections
import contextlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from aloe.data import latents, video
from aloe.data.findings import Findings
from aloe.data.parallel import Item, ordered_map
from aloe.data.skipped import Skipped
from aloe.errors import InputError
from aloe.progress_bar import progress_bar

COLORED = ("RGB", "RGBA")  # picture modes that `aloe.data.video` accepts
_LOOKED_AT = 50  # pictures inspected for the size that all should have
_MEND = "unpack its archive anew, or run launch/make_world.py again if the world is our own"


def check_files(
    split: str,
    kind: str,
    indices: Sequence[int],
    found: Mapping[int, Item],
    problem_of: Callable[[Item], str | None],
    limit: float,
    findings: Findings,
    more: str = "",
    name_of: Callable[[int], str] = "scene_index {}".format,
) -> None:
    """Checks one kind of files of a split: is there one for each index, and is it intact?

    Args:
      split: its name.
      kind: what the files are called, in the plural.
      indices: scene indices of the split.
      found: by scene index, what `problem_of` takes, such as the file, for those that exist.
      problem_of: returns what is wrong with a file, or None; must be picklable.
      limit: fraction of the files that may be missing or broken.
      findings: where to add what is found.
      more: what to add to the note if none of the files exists.
      name_of: what a missing file is called, by scene index.
    """
    present = [index for index in indices if index in found]
    findings.counts[split][kind] = len(present)
    if not present:
        note = f"no {kind} of the {split} split were found; training on a latents store needs none"
        findings.notes.append(f"{note} ({more})" if more else note)
        return
    skipped = Skipped(f"{kind} of the {split} split", len(indices), limit)
    for index in indices:
        if index not in found:
            skipped.add(index, f"no {kind[:-1]} of {name_of(index)} was found; {_MEND}")
    problems = ordered_map(problem_of, [found[index] for index in present])
    for index, problem in zip(present, progress_bar(problems, skipped.what, len(present), unit="file"), strict=True):
        if problem:
            skipped.add(index, problem)
    findings.counts[split][f"{kind} missing or broken"] = len(skipped)
    _report(skipped, findings)


def check_store(split: str, path: Path, indices: Sequence[int], frames: int, limit: float, findings: Findings) -> None:
    """Checks that a latents store can be opened and has the split's videos; notes if it lacks some frames of them."""
    name = f"latents/{path.parent.name}"
    try:
        store = latents.open(path)
        if beyond := sorted(set(store.frame_numbers) - set(range(frames))):
            raise InputError(f"{path}: has a frame {beyond[0]}, and a video has {frames}: encode anew")
        if store.shape[1] < frames:
            findings.notes.append(f"{path}: has {store.shape[1]} of the {frames} frames of each video")
        written = set(store.scene_indices.tolist()) - set(store.missing().tolist())
    except InputError as error:
        findings.problems.append(str(error))
        return
    findings.counts[split][name] = len(written)
    skipped = Skipped(f"videos of the {split} split in {path}", len(indices), limit)
    for index in indices:
        if index not in written:
            skipped.add(index, f"scene_index {index} has no latents; launch/encode.py encodes what is missing")
    _report(skipped, findings)


def common_size(
    paths: Iterable[Path], size_of: Callable[[Path], tuple[int, int]] | None = None
) -> tuple[int, int] | None:
    """The most common width and height, or `size_of`, among the first files that can be read; None if none can."""
    sizes: collections.Counter[tuple[int, int]] = collections.Counter()
    for path in itertools.islice(paths, _LOOKED_AT):
        with contextlib.suppress(InputError):
            sizes[(size_of or picture_size)(path)] += 1
    return max(sizes, key=sizes.__getitem__, default=None)


def picture_problem(
    path: Path, size: tuple[int, int] | None, decode: bool, modes: Sequence[str] = COLORED
) -> str | None:
    """What is wrong with a picture: it is broken, not of `size`, if that is known, or of a mode not in `modes`."""
    try:
        return _size_problem(path, picture_size(path, decode, modes), size)
    except InputError as error:
        return str(error)


def video_problem(path: Path, size: tuple[int, int] | None, decode: bool, frames: int) -> str | None:
    """What is wrong with a video: it is broken, has fewer frames, or is not of `size`, if that is known."""
    try:
        return _size_problem(path, video_size(path, decode, frames), size)
    except InputError as error:
        return str(error)


def video_size(path: Path, decode: bool = False, frames: int = 1) -> tuple[int, int]:
    """Width and height of a video in pixels; raises what `video.probe` raises, also for fewer than `frames`."""
    info = video.probe(path, decode, at_least=frames)
    return info.width, info.height


def picture_size(path: Path, decode: bool = False, modes: Sequence[str] | None = None) -> tuple[int, int]:
    """Width and height of a picture in pixels.

    Raises:
      InputError: it is missing, not a picture, of a mode (Pillow's name) not in `modes`, or, if decoded, truncated.
    """
    try:
        with Image.open(path) as picture:
            if modes and picture.mode not in modes:
                raise InputError(
                    f"{path}: has the mode {picture.mode}, not {' or '.join(modes)}; unpack or write it anew"
                )
            if decode:
                picture.load()
            return picture.size
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise InputError(f"{path}: not a whole picture: {error}; unpack its archive anew") from error


def _size_problem(path: Path, found: tuple[int, int], size: tuple[int, int] | None) -> str | None:
    if not size or found == size:
        return None
    return f"{path}: {found[0]}×{found[1]} pixels, and others have {size[0]}×{size[1]}; delete it, and {_MEND}"


def _report(skipped: Skipped, findings: Findings) -> None:
    if skipped:
        (findings.problems if skipped.too_many else findings.notes).append(skipped.summary(shown=50))
