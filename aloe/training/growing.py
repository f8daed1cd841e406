"""Files that grow during a run: once written, a line is there whatever becomes of this process.

On a disk they are appended to. Objects in a bucket cannot be; there such a file is a sequence of objects,

    metrics-00002-00000.jsonl     what the second start of the run found and resumed from
    metrics-00002-00001.jsonl, …  what it has written since

of which only those of the latest start count. Every start rewrites the lines worth keeping, as its object 0. As objects
appear atomically, a start that is killed at any point leaves either the objects of the previous one or its own.
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from etils import epath
from tensorboardX import record_writer

from aloe.data.whole import write_whole
from aloe.paths import in_bucket

PART_BYTES = 1 << 18  # size of an object at which the next one is begun; a flush rewrites less than that
REPLACEABLE_AFTER = 1.0  # seconds; a bucket refuses to replace an object more often (Cloud Storage quotas)


class Growing(Protocol):
    """A file open for appending lines."""

    def write(self, line: str) -> object:
        """Appends a line, which must end with a newline; it is in the file once this returns."""

    def close(self) -> None: ...


def read_lines(path: epath.Path) -> list[str]:
    """The lines written so far; none if the file has not been begun."""
    path = epath.Path(path)
    if not in_bucket(path):
        return path.read_text().splitlines() if path.exists() else []
    while True:
        try:
            return [line for part in _latest(path) for line in part.read_text().splitlines()]
        except FileNotFoundError:  # a new start has just replaced them with its own
            time.sleep(REPLACEABLE_AFTER)


def exists(path: epath.Path) -> bool:
    """Whether the file has been begun."""
    return bool(_latest(path)) if in_bucket(path) else path.exists()


def go_on(path: epath.Path, keep: Callable[[str], bool] | None = None) -> Growing:
    """Opens a file to append lines after the existing ones.

    Args:
      path: the file; created if missing.
      keep: which of the existing lines to keep; all of them if None.
    """
    if in_bucket(path):
        return _LinesInBucket(path, [line for line in read_lines(path) if keep is None or keep(line)])
    if keep is not None and path.exists():
        write_whole(path, _text(list(filter(keep, read_lines(path)))))
    with open(path, "a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":  # a crash has truncated the last line
                file.write(b"\n")
    return open(path, "a", buffering=1)


class Parts:
    """A sequence of objects in a bucket, written like a file; what was written before a `flush` is there after it.

    A flush replaces the last object with its old content followed by the new; if that object is large, or was replaced
    just now, the next one is begun. So each byte is uploaded only a few times, however long the run, and whenever an
    object is read, its content is a prefix of its final bytes.

    Args:
      name: gives the path of an object from its number.
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
        for part in before:  # from here on they no longer count
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
    """All objects of a file, in order."""
    return sorted(path.parent.glob(f"{path.stem}-*-*{path.suffix}"), key=_numbers)


def _latest(path: epath.Path) -> list[epath.Path]:
    """The objects of its latest start."""
    parts = _parts(path)
    return [part for part in parts if _numbers(part)[0] == _numbers(parts[-1])[0]]


def _numbers(part: epath.Path) -> tuple[int, int]:
    """The numbers of the start and of the object."""
    _, start, number = part.stem.rsplit("-", 2)
    return int(start), int(number)


class _EventFiles:
    """One event file as a sequence of objects, for TensorBoard, which reads a folder's files in name order.

    tensorboardX itself would upload all of a run's events at every flush.
    """

    def open(self, path: str) -> Parts:
        return Parts(lambda number: epath.Path(f"{path}.{number:05d}"))

    def directory_check(self, path: str) -> None:
        """A bucket needs no folders."""


record_writer.register_writer_factory("gs", _EventFiles())
