"""Encodes a data set, as a program that runs in this process alone or on every host of a slice."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from etils import epath
from jax.experimental import multihost_utils
from ml_collections import ConfigDict
from PIL import Image

from aloe import tasks
from aloe.data.frames import spread
from aloe.data.whole import write_whole
from aloe.perception.fill import Encoder, create_or_open, fill, open_existing
from aloe.perception.monet import encoder as monet
from aloe.perception.monet import trained

ORACLE, MONET = "oracle", "monet"
ENCODERS = (ORACLE, MONET)


def run(
    config: Mapping[str, Any], *, barrier: Callable[[str], None] = multihost_utils.sync_global_devices
) -> dict[str, int]:
    """Fills the latents stores of some splits; with several hosts, each encodes its share of a store's files.

    Args:
      config: `task` and `data`, the data folder; `encoder`, one of ENCODERS, and for MONet `checkpoint`, a run or the
        name of weights, and `frames_per_video`, evenly spaced, 0 for all; `latents`, the folder of the stores;
        `splits`; `broken_limit`, the fraction of videos that may be broken; `workers`, processes per host, None for
        one per core. The same on every host.
      barrier: returns once all hosts have called it with that name.

    Returns:
      By split, how many videos of this host's share are now in the store.

    Raises:
      InputError: files are missing or broken, or a store is of another encoder.
    """
    resolved = ConfigDict(config)
    host, hosts = jax.process_index(), jax.process_count()
    indices, encoder = _prepared(resolved)
    there: dict[str, int] = {}
    for split in resolved.splits:
        path = epath.Path(resolved.latents) / split
        if host == 0:
            create_or_open(path, indices[split], encoder)
        if hosts > 1:
            barrier(f"the store of {split} is there")
        name = f"videos of the {split} split" + (f", share {host + 1} of {hosts}" if hosts > 1 else "")
        skipped = fill(path, indices[split], encoder, resolved.broken_limit, name, host=host, hosts=hosts)
        there[split] = skipped.total - len(skipped)
        print(f"{path}: {there[split]} videos", flush=True)
        if skipped:
            print(skipped.summary(), flush=True)
        if host == 0 and isinstance(encoder, monet.Encoder):
            draw(path.with_name(f"{split}.png"), encoder.picture(indices[split]))
    for remark in encoder.remarks():
        print(remark, flush=True)
    return there


def check(config: Mapping[str, Any]) -> None:
    """Raises InputError for what `run` would find wrong with files, checkpoint or stores before it encodes anything.

    Writes nothing, and loads the checkpoint onto this process's devices.
    """
    resolved = ConfigDict(config)
    indices, encoder = _prepared(resolved)
    for split, scene_indices in indices.items():
        open_existing(epath.Path(resolved.latents) / split, scene_indices, encoder)


def draw(path: epath.Path, picture_YxXx3: np.ndarray | None) -> None:
    """Writes the picture of what a MONet makes of some frames, at twice its size, beside the store of their split.

    A picture that cannot be written is a remark, not an error: the store is complete without it.
    """
    if picture_YxXx3 is None:
        return
    picture = Image.fromarray(picture_YxXx3)
    picture = picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.NEAREST)
    try:
        write_whole(path, lambda unfinished: picture.save(unfinished, "PNG"))
    except OSError as error:
        print(
            f"{path}: cannot be written: {error.strerror or error}. The latents are whole without this picture: train "
            "on them, or make room and run the same command again, which draws it.",
            flush=True,
        )
        return
    print(f"{path}: frames, what is reconstructed, whose each pixel is, and every slot", flush=True)


def _prepared(config: ConfigDict) -> tuple[dict[str, list[int]], Encoder]:
    """The videos of every split, and their encoder."""
    files, data = tasks.part(config.task, "files"), Path(config.data)
    indices = {split: files.scene_indices(data, split) for split in config.splits}  # all, before anything is written
    if config.encoder == MONET:
        videos = files.find_videos(data)
        numbers = spread(files.FRAMES, config.frames_per_video or files.FRAMES)
        return indices, monet.Encoder(trained.read(config.checkpoint), videos, numbers, config.workers)
    return indices, tasks.part(config.task, config.encoder).Encoder(data, config.workers)
