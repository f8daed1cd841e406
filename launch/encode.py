"""Encodes every frame of a data set once, into latents stores: <latents>/<split>.

    python launch/encode.py --task=clevrer --data=DIR

    python launch/encode.py --task=clevrer --data=DIR --encoder=monet --checkpoint=runs/monet-paper-s0
    python launch/encode.py --task=clevrer --data=DIR --encoder=monet --checkpoint=clevrer_world --frames_per_video=10
    python launch/encode.py … --hosts=4                                   on a slice, each host its share

`--encoder=oracle` makes the latents from the annotations, not from pixels; `--encoder=monet` from pixels, on all
devices, with the latest checkpoint of a run of `launch/train.py --task=monet` or with weights that ship with Aloe. If
interrupted, the same command resumes where it stopped; broken videos are named and skipped, up to a limit.
"""

import os
from collections.abc import Sequence

import jax
from etils import epath
from ml_collections import ConfigDict

from aloe import tasks
from aloe.data.skipped import DEFAULT_LIMIT
from aloe.errors import InputError
from aloe.paths import absolute
from aloe.perception import encoding
from aloe.perception.monet import trained
from launch import flags, programs
from launch.machines import add_machines, run_on_slice, slice_of


def main(argv: Sequence[str] | None = None) -> int:
    parser = flags.Parser(__doc__)
    parser.add_task()
    parser.add_data()
    parser.add_argument("--encoder", choices=encoding.ENCODERS, default=encoding.ORACLE, help="what makes the latents")
    parser.add_argument("--checkpoint", help="workdir of the run whose MONet encodes, or the name of shipped weights")
    parser.add_argument("--frames_per_video", type=int, default=0, help="MONet: how many, evenly spread; 0 for all")
    parser.add_argument("--latents", type=epath.Path, help="folder of the stores; else DATA/latents/ENCODER")
    parser.add_argument("--splits", default="train,validation", help="which splits, comma-separated")
    parser.add_argument("--broken_limit", type=float, default=DEFAULT_LIMIT, help="share of videos that may be broken")
    parser.add_argument("--workers", type=int, help="processes of a host; else one a core, for large splits")
    add_machines(parser, optional=True)
    given = parser.parse(argv)
    wanted = slice_of(given)

    if given.task == encoding.MONET:
        raise InputError(
            f"--task={given.task}: MONet is what encodes, by --encoder=monet --checkpoint=WORKDIR; name the task whose "
            "videos are encoded, which is config.data.source of its run: --task=<the source task>."
        )
    files = tasks.part(given.task, "files")
    splits = given.splits.split(",")
    for split in splits:
        if split not in files.SPLITS:
            raise InputError(f"--splits={given.splits}: no split {split!r}; there are {', '.join(files.SPLITS)}")
    if given.encoder == encoding.MONET and not given.checkpoint:
        raise InputError("--encoder=monet: name the run whose checkpoint encodes, with --checkpoint=WORKDIR.")
    if given.checkpoint and given.encoder != encoding.MONET:
        raise InputError(
            f"--checkpoint={given.checkpoint}: --encoder={given.encoder} has none, and would encode without it; "
            "add --encoder=monet, or leave --checkpoint out."
        )
    if given.encoder == encoding.MONET and not hasattr(files, "FRAMES"):
        raise InputError(
            f"--encoder=monet: {files.__name__} has no FRAMES and find_videos, by which MONet finds the pictures of "
            f"--task={given.task}; add them, as WORKSPACE.md has it."
        )
    if given.frames_per_video and given.encoder != encoding.MONET:
        raise InputError("--frames_per_video: an oracle encodes all frames, which takes no time; leave it out.")
    if given.frames_per_video and not 0 < given.frames_per_video <= files.FRAMES:
        raise InputError(f"--frames_per_video={given.frames_per_video}: a video has {files.FRAMES}; take 1 or more.")
    if given.frames_per_video and given.frames_per_video < files.FRAMES and not takes_some_frames(given.task):
        raise InputError(
            f"--frames_per_video={given.frames_per_video}: a model of --task={given.task} takes latents of all "
            f"{files.FRAMES} frames of a video, and could not train on fewer; leave it out."
        )
    folder = given.latents or given.data / "latents" / given.encoder
    config = ConfigDict(
        {
            "task": given.task,
            "data": str(given.data.absolute()),
            "encoder": given.encoder,
            "checkpoint": trained.located(given.checkpoint) if given.checkpoint else "",
            "frames_per_video": given.frames_per_video,
            "latents": str(absolute(folder)),
            "splits": splits,
            "broken_limit": given.broken_limit,
            "workers": given.workers,
        }
    )
    if wanted:
        # Problems with data, checkpoint or stores are reported here, before any host is requested.
        jax.config.update("jax_platforms", "cpu")  # leaves this machine's accelerators to the hosts
        encoding.check(config)
        return run_on_slice([wanted], programs.encode, config)
    encoding.run(config)
    return 0


def takes_some_frames(task: str) -> bool:
    """Whether a run of the task can configure how many frames of a video make up an example."""
    return "frames_per_video" in tasks.part(task, "config").get_config().data


if __name__ == "__main__":
    # On CPUs, make every core a device: this is faster than splitting convolutions with few channels over threads.
    jax.config.update("jax_num_cpu_devices", os.cpu_count())
    flags.run(main)
