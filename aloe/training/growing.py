"""Files that grow while a run goes on: a line more, and it is there whatever becomes of this process.

On a disk they are appended to. A bucket's objects cannot be; there such a file is a row of objects,

    metrics-00002-00000.jsonl     what the second start of the run found, and went on from
    metrics-00002-00001.jsonl, …  what it has written since

of which those of the latest start count. Every start writes anew what is worth keeping, as its object 0. As an object
appears all at once, a start that is killed at any point leaves the objects of the one before it, or its own.
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from etils import epath
from tensorboardX import record_writer

from aloe.data.whole import write_whole
from aloe.paths import in_bucket

PART_BYTES = 1 << 18  # of an object, before the next one is begun; a flush rewrites less than that
REPLACEABLE_AFTER = 1.0  # seconds; a bucket refuses to replace an object more often (quotas of Cloud Storage)


class Growing(Protocol):
    """What is written to."""

    def write(self, line: str) -> object:
        """Adds a line, which ends with a line feed; it is there when this returns."""

    def close(self) -> None: ...


def read_lines(path: epath.Path) -> list[str]:
    """The lines that have been written; none where nothing has been."""
    path = epath.Path(path)
    if not in_bucket(path):
        return path.read_text().splitlines() if path.exists() else []
    while True:
        try:
            return [line for part in _latest(path) for line in part.read_text().splitlines()]
        except FileNotFoundError:  # a start has just put its own in their place
            time.sleep(REPLACEABLE_AFTER)


def exists(path: epath.Path) -> bool:
    """Whether it has been begun."""
    return bool(_latest(path)) if in_bucket(path) else path.exists()


def go_on(path: epath.Path, keep: Callable[[str], bool] | None = None) -> Growing:
    """Opens a file for more lines, after those that are there.

    Args:
      path: the file; begun if missing.
      keep: of the lines that are there, which to keep; all of them if None.
    """
    if in_bucket(path):
        return _LinesInBucket(path, [line for line in read_lines(path) if keep is None or keep(line)])
    if keep is not None and path.exists():
        write_whole(path, _text(list(filter(keep, read_lines(path)))))
    with open(path, "a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":  # a crash has cut the last line short
                file.write(b"\n")
    return open(path, "a", buffering=1)


class Parts:
    """A row of objects in a bucket that is written like a file; what was written before a `flush` is there after it.

    The last object is replaced, by itself and what is new; where it is large, or was replaced just now, the next one is
    begun. So a byte travels a few times, however long the run, and a reader finds in every object a beginning of the
    same bytes.

    Args:
      name: of each object, by its number.
    """

    def __init__(self, name: Callable[[int], epath.Path]) -> None:
        self._name = name
        self._number = 0
        self._there, self._new = b"", b""
        self._written = float("-inf")

    def write(self, data: bytes) -> None:
        self._new += data

    def flush(self) -> None:
        if not self._new:
            return
        if len(self._there) >= PART_BYTES or time.monotonic() - self._written < REPLACEABLE_AFTER:
            self._number, self._there = self._number + 1, b""
        self._name(self._number).write_bytes(self._there + self._new)
        self._written = time.monotonic()
        self._there, self._new = self._there + self._new, b""

    close = flush


class _LinesInBucket:
    def __init__(self, path: epath.Path, kept: Sequence[str]) -> None:
        before = _parts(path)
        start = max((_numbers(part)[0] for part in before), default=0) + 1
        first = path.with_name(f"{path.stem}-{start:05d}-00000{path.suffix}")
        first.write_text(_text(kept))
        for part in before:  # from here on they count no more
            part.unlink()
        self._parts = Parts(lambda number: path.with_name(f"{path.stem}-{start:05d}-{number + 1:05d}{path.suffix}"))

    def write(self, line: str) -> None:
        self._parts.write(line.encode())
        self._parts.flush()

    def close(self) -> None:
        self._parts.close()


def _text(lines: Sequence[str]) -> str:
    return "".join(line + "\n" for line in lines)


def _parts(path: epath.Path) -> list[epath.Path]:
    """All objects of a file, in their order."""
    return sorted(path.parent.glob(f"{path.stem}-*-*{path.suffix}"), key=_numbers)


def _latest(path: epath.Path) -> list[epath.Path]:
    """Those of its latest start."""
    parts = _parts(path)
    return [part for part in parts if _numbers(part)[0] == _numbers(parts[-1])[0]]


def _numbers(part: epath.Path) -> tuple[int, int]:
    """Of the start, and of the object."""
    _, start, number = part.stem.rsplit("-", 2)
    return int(start), int(number)


class _EventFiles:
    """For TensorBoard, which goes through the files of a folder by their names: one file of events as a row of objects.

    tensorboardX itself would upload all of a run's events at every flush.
    """

    def open(self, path: str) -> Parts:
        return Parts(lambda number: epath.Path(f"{path}.{number:05d}"))

    def directory_check(self, path: str) -> None:
        """A bucket needs no folders."""


record_writer.register_writer_factory("gs", _EventFiles())
