"""Folder locations: on a disk, or in a Google Cloud Storage bucket as `gs://bucket/path`.

Workdirs and latents stores may be either; they are `epath.Path`. Everything else is on a disk, as a `pathlib.Path`.
Objects in a bucket are written whole and cannot be appended to, renamed or locked; the consequences are handled here,
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
CLIENT = "gcsfs"  # the package through which epath accesses buckets

# gcsfs would cache listings and miss what others write: other hosts, and tensorstore in this process.
for _protocol in ("gs", "gcs"):
    fsspec.config.conf.setdefault(_protocol, {})["use_listings_cache"] = False


def in_bucket(path: epath.PathLike) -> bool:
    """Whether a path is in a bucket rather than on a disk."""
    return os.fspath(path).startswith(BUCKET)


def absolute(path: epath.PathLike) -> epath.Path:
    """Returns the path in the absolute form that every host of a slice needs.

    Raises:
      InputError: it is a URL other than `gs://bucket/path`, names no bucket, or a package is missing.
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
    """Returns the path if it is on a disk.

    Args:
      path: the path as given.
      name: the flag or field that it was given by.
      instead: what to do instead of giving a bucket.

    Raises:
      InputError: it is in a bucket, or a URL.
    """
    # pathlib.Path collapses two slashes into one.
    scheme, colon, rest = os.fspath(path).partition(":/")
    if colon and scheme.isalnum():
        raise InputError(f"{name}={scheme}://{rest.lstrip('/')}: has to be on a disk; {instead}.")
    return Path(path)


def kvstore(path: epath.PathLike) -> dict[str, Any]:
    """Returns the tensorstore key-value store spec of a folder."""
    if not in_bucket(path):
        return {"driver": "file", "path": f"{Path(path).absolute()}/"}
    bucket, _, folder = os.fspath(path).removeprefix(BUCKET).partition("/")
    return {"driver": "gcs", "bucket": bucket, "path": f"{folder.strip('/')}/"}


def move(source: epath.Path, target: epath.Path) -> None:
    """Moves a folder: in one step on a disk; in a bucket, which cannot rename, by copying everything, then deleting.

    If that is interrupted, the source is still there.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if not in_bucket(source):
        source.rename(target)
        return
    for file in files_below(source):
        file.copy(target / file.relative_to(source))
    source.rmtree()


def files_below(folder: epath.Path) -> Iterator[epath.Path]:
    """Yields all files below a folder, recursively."""
    for path in folder.iterdir():
        if path.is_dir():
            yield from files_below(path)
        else:
            yield path
