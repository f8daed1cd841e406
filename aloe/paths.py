"""Where folders are: on a disk, or in a bucket of Google Cloud Storage as `gs://bucket/path`.

Workdirs and latents stores may be either; they are `epath.Path`. All else is on a disk, and a `pathlib.Path`. Objects
of a bucket are written whole, and are neither appended to, nor renamed, nor locked: what follows from it stands here,
in `aloe/data/whole.py` and in `aloe/training/growing.py`.
"""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
from etils import epath

from aloe.errors import InputError

BUCKET = "gs://"
CLIENT = "gcsfs"  # the package by which epath comes to a bucket

# gcsfs would remember listings, and not see what others write: other hosts, and tensorstore in this process.
for _protocol in ("gs", "gcs"):
    fsspec.config.conf.setdefault(_protocol, {})["use_listings_cache"] = False


def in_bucket(path: epath.PathLike) -> bool:
    """Whether a path is in a bucket; else it is on a disk."""
    return os.fspath(path).startswith(BUCKET)


def absolute(path: epath.PathLike) -> epath.Path:
    """The path as every host of a slice has to have it.

    Raises:
      InputError: it is a URL of another kind than `gs://bucket/path`, names no bucket, or a package is missing.
    """
    text = os.fspath(path)
    if in_bucket(text):
        if not text.removeprefix(BUCKET).strip("/"):
            raise InputError(f"{text}: names no bucket; give gs://BUCKET/FOLDER.")
        if not importlib.util.find_spec(CLIENT):
            raise InputError(f"{text}: takes {CLIENT}: .venv/bin/python -m pip install -e '.[gcs]'")
        return epath.Path(text)
    if "://" in text:
        raise InputError(f"{text}: neither a folder on a disk nor one in a bucket, gs://BUCKET/FOLDER.")
    return epath.Path(Path(text).absolute())


def on_disk(path: epath.PathLike, name: str, instead: str) -> Path:
    """The path, if it is on a disk.

    Args:
      path: what was given.
      name: by which flag or field.
      instead: what to do in place of giving a bucket.

    Raises:
      InputError: it is in a bucket, or a URL.
    """
    # A pathlib.Path has made one slash of two.
    scheme, colon, rest = os.fspath(path).partition(":/")
    if colon and scheme.isalnum():
        raise InputError(f"{name}={scheme}://{rest.lstrip('/')}: has to be on a disk; {instead}.")
    return Path(path)


def kvstore(path: epath.PathLike) -> dict[str, Any]:
    """A folder as a key-value store of tensorstore."""
    if not in_bucket(path):
        return {"driver": "file", "path": f"{Path(path).absolute()}/"}
    bucket, _, folder = os.fspath(path).removeprefix(BUCKET).partition("/")
    return {"driver": "gcs", "bucket": bucket, "path": f"{folder.strip('/')}/"}


def move(source: epath.Path, target: epath.Path) -> None:
    """Moves a folder: at once on a disk; in a bucket, which renames nothing, by copying all and then deleting.

    Where that is cut short, the source is still there.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if not in_bucket(source):
        source.rename(target)
        return
    for file in files_below(source):
        file.copy(target / file.relative_to(source))
    source.rmtree()


def files_below(folder: epath.Path) -> Iterator[epath.Path]:
    """All files in a folder and in those in it."""
    for path in folder.iterdir():
        if path.is_dir():
            yield from files_below(path)
        else:
            yield path
