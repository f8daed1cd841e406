"""Files of one video each, found by the index in their names, wherever they were unpacked below a folder."""

import os
import re
from pathlib import Path

from aloe.errors import InputError


def find_numbered(root: Path, name: re.Pattern[str]) -> dict[int, Path]:
    """Index → file, for all files below `root` whose names match `name`, whose first group is the index.

    A single walk, which follows links to folders.

    Raises:
      InputError: two files have the same index.
    """
    found: dict[int, Path] = {}
    walked = set()
    for folder, below, files in os.walk(root, followlinks=True):
        here = os.path.realpath(folder)
        if here in walked:  # reached before; a link may even lead back up
            below.clear()
            continue
        walked.add(here)
        below.sort()
        for file in files:
            match = name.fullmatch(file)
            if not match:
                continue
            path = Path(folder, file)
            if found.setdefault(int(match[1]), path) is not path:
                raise InputError(f"{found[int(match[1])]} and {path}: two files of one video; remove one")
    return found
