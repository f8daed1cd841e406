"""Writes files atomically: whole or not at all."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from etils import epath

from aloe.paths import in_bucket


def write_whole(path: Path | epath.Path, content: str | Callable[[Path], object]) -> None:
    """Writes a file so that a partial one is never visible; creates its folder if missing.

    Args:
      path: the file; an existing one is replaced.
      content: its text, or a function that fills the file it is given: one beside `path`, moved there when complete.
        For a bucket, where an object appears once all of it has arrived, that file is on this machine's disk.
    """
    if in_bucket(path):
        epath.Path(path).write_bytes(content.encode() if isinstance(content, str) else _filled(content, path.suffix))
        return
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if isinstance(content, str):
            partial.write_text(content)
        else:
            content(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _filled(fill: Callable[[Path], object], suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"file{suffix}")
        fill(file)
        return file.read_bytes()
