"""Writes files whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path


def write_whole(path: Path, content: str | Callable[[Path], object]) -> None:
    """Writes a file so that nobody ever finds half of it; its folder is made if missing.

    Args:
      path: the file; one that is there is replaced.
      content: its text, or what fills the file that it is given: one beside `path`, moved there when whole.
    """
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
