"""The first steps of writing a world of our own: checking the arguments and marking its folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from aloe.data.whole import write_whole
from aloe.errors import InputError

MARK = "world.json"


def claim(folder: Path, settings: Mapping[str, Any], videos: int, growing: Mapping[str, Any] | None = None) -> None:
    """Marks the folder as this world's; an existing world may get more videos, not fewer.

    Args:
      folder: created if missing.
      settings: JSON that distinguishes this world from every other one.
      videos: how many it is to have.
      growing: further JSON fields to write, replacing earlier values of these names, which the caller has checked.

    Raises:
      InputError: the folder holds something else, another world, or more videos than that.
    """
    found = marked(folder)
    if found is not None:
        for name, value in settings.items():
            if found.get(name) != value:
                raise InputError(
                    f"{folder / MARK}: this world has {name} {found.get(name)}, not {value}; "
                    "name another folder, or delete this one."
                )
        if (more := found["videos"]) > videos:
            raise InputError(
                f"{folder / MARK}: this world has {more} videos already, more than {videos}; name another folder."
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: holds something that is no world (it has no world.json); name another folder.")
    mark = {**settings, **(growing or {}), "videos": videos}
    write_whole(folder / MARK, json.dumps(mark, separators=(",", ":")))


def marked(folder: Path) -> dict[str, Any] | None:
    """The settings of the world in a folder, with its number of "videos"; None if there is no world.

    Raises:
      InputError: the mark cannot be parsed.
    """
    mark = folder / MARK
    if not mark.exists():
        return None
    try:
        found = json.loads(mark.read_text())
        return {**found, "videos": found["videos"]}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{mark}: does not parse ({error}); name another folder, or delete this one.") from error


def check_arguments(
    seed: int, width: int, height: int, workers: int | None, gpu: bool, draw: bool, *, pictures: str = "videos"
) -> None:
    """Raises InputError if the arguments common to all worlds make no sense; `pictures` says what the world draws."""
    if seed < 0:
        raise InputError(f"seed={seed}: a seed is 0 or more.")
    if pictures == "videos" and (width % 2 or height % 2 or min(width, height) < 16):
        raise InputError(f"size={width}x{height}: both must be even (the video format needs that), and at least 16.")
    if min(width, height) < 16:
        raise InputError(f"size={width}x{height}: both must be at least 16.")
    if workers is not None and workers < 1:
        raise InputError(f"workers={workers}: at least one process has to do the work.")
    if gpu and not draw:
        raise InputError(f"gpu=True: without {pictures} there is nothing to draw; leave one of the two out.")
    if gpu and jax.default_backend() != "gpu":
        raise InputError("gpu=True: JAX finds no GPU here; leave it out, or install jax with its CUDA plugin.")
