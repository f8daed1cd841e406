"""Writes the masks of a data set's objects, for models that look at one object at a time (appendix B).

    python launch/masks.py --task=clevrer --variant=masked_frames --data=DIR
    python launch/masks.py --task=clevrer --variant=masked_frames --data=DIR --config.data.masks=proposals
    python launch/masks.py --task=clevrer --variant=masked_frames --data=DIR --config.data.masks=monet --checkpoint=RUN

`exact`, the default, are those of a world of our own; `proposals` those that come with the data set; `monet` those from
the latest checkpoint of a run of `launch/train.py --task=monet`, made on all devices of this process and named by the
checksum of its weights, as in --config.data.masks=monet-0123456789abcdef; the last line gives the name. Masks lie next
to the decoded frames. Broken files are named and skipped, up to a limit.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from aloe import tasks
from aloe.config import choose
from aloe.data import masks
from aloe.data.parallel import ordered_map
from aloe.data.skipped import DEFAULT_LIMIT
from aloe.errors import InputError
from aloe.perception.monet import trained
from aloe.perception.monet.encoder import Encoder, packed_masks
from aloe.perception.pixels import frame_numbers, frames_folder
from launch import flags

EXACT, PROPOSALS, MONET = "exact", "proposals", "monet"
PARTS = {EXACT: "masks", PROPOSALS: "proposals"}  # a task's modules that find and read them


def main(argv: Sequence[str] | None = None) -> None:
    parser = flags.Parser(__doc__)
    parser.add_run()
    parser.add_argument("--checkpoint", help="workdir of the run, or name of the weights, whose MONet makes the masks")
    parser.add_argument("--splits", default="train,validation", help="which splits, comma-separated")
    parser.add_argument("--broken_limit", type=float, default=DEFAULT_LIMIT, help="share of videos that may be broken")
    parser.add_argument("--workers", type=int, help="processes; else one a core, for large splits")
    given = parser.parse(argv)

    config = flags.resolve_run(given)
    if "perception" not in config:
        raise InputError(f"--task={given.task}: its models take stored latents, and no masks; see launch/encode.py.")
    files, wanted = tasks.part(given.task, "files"), config.data.masks
    kind = MONET if wanted.startswith(f"{MONET}-") else wanted
    choose("data.masks", kind, {**PARTS, MONET: None})
    size, slots = config.perception.size, config.model.slots
    numbers = frame_numbers(config, files.FRAMES)
    splits = given.splits.split(",")
    for split in splits:
        if split not in files.SPLITS:
            raise InputError(f"--splits={given.splits}: no split {split!r}; there are {', '.join(files.SPLITS)}")
    scene_indices = {split: files.scene_indices(given.data, split) for split in splits}

    make: Callable[[Sequence[int]], Iterator[np.ndarray | InputError]]
    if kind == MONET:
        if not given.checkpoint:
            raise InputError(f"config.data.masks = {wanted}: name the run that makes them, with --checkpoint=WORKDIR.")
        made_by = trained.read(given.checkpoint)
        encoder = Encoder(made_by, files.find_videos(given.data), numbers, given.workers, packed_masks)
        if (encoder.config.size, encoder.slots) != (size, slots):
            raise InputError(
                f"{given.checkpoint}: a MONet of {encoder.slots} slots and {encoder.config.size} pixels a side, and "
                f"config.model.slots = {slots}, config.perception.size = {size}; set these alike."
            )
        make, source = encoder.encode, encoder.description
        if wanted not in (MONET, masks.name_of(source)):
            raise InputError(
                f"config.data.masks = {wanted}: the masks of {given.checkpoint}, after {source['step']} steps, are "
                f"{masks.name_of(source)}. Name those, or another --checkpoint."
            )
    else:
        part = tasks.part(given.task, PARTS[kind])
        paths = part.find(given.data)
        read = functools.partial(packed, part.by_slot, numbers, size, slots)

        def make(scene_indices: Sequence[int]) -> Iterator[np.ndarray | InputError]:
            return ordered_map(read, [(index, paths.get(index)) for index in scene_indices], given.workers)

        source = {"name": kind}
    folder, name = frames_folder(config), masks.name_of(source)
    for split, indices in scene_indices.items():
        written = masks.write(folder, split, make(indices), indices, numbers, size, slots, source, given.broken_limit)
        print(f"{masks.path(folder, split, name)}: {written} videos", flush=True)
    print(f"Train on them with --config.data.masks={name}", flush=True)


def packed(
    by_slot: Callable[[Path, Sequence[int], int, int], np.ndarray],
    numbers: Sequence[int],
    size: int,
    slots: int,
    found: tuple[int, Path | None],
) -> np.ndarray | InputError:
    """The masks of a video given by scene index and file, or the error that it leads to."""
    index, path = found
    if path is None:
        return InputError(f"no file that tells the masks of video {index} was found in the data folder")
    try:
        return masks.pack(by_slot(path, numbers, size, slots))
    except InputError as error:
        return error


if __name__ == "__main__":
    flags.run(main)
