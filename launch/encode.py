"""Encodes every frame of a data set once, into latents stores: <latents>/<split>.

    python launch/encode.py --task=clevrer --data=DIR

    python launch/encode.py --task=clevrer --data=DIR --encoder=monet --checkpoint=runs/monet-paper-s0

`--encoder=oracle` makes the latents from the annotations, not from pixels; `--encoder=monet` from pixels, by the latest
checkpoint of a run of `launch/train.py --task=monet`, on all devices of this process. Interrupted, the same command
goes on where it stopped; broken videos are named and left out, up to a limit.
"""

from collections.abc import Sequence
from pathlib import Path

from aloe import tasks
from aloe.data.skipped import DEFAULT_LIMIT
from aloe.errors import InputError
from aloe.perception.fill import Encoder, fill
from aloe.perception.monet import encoder as monet
from launch import flags

ORACLE, MONET = "oracle", "monet"


def main(argv: Sequence[str] | None = None) -> None:
    parser = flags.Parser(__doc__)
    parser.add_task()
    parser.add_data()
    parser.add_argument("--encoder", choices=(ORACLE, MONET), default=ORACLE, help="what makes the latents")
    parser.add_argument("--checkpoint", type=Path, help="workdir of the run whose MONet encodes")
    parser.add_argument("--latents", type=Path, help="folder of the stores; else DATA/latents/ENCODER")
    parser.add_argument("--splits", default="train,validation", help="which splits, separated by commas")
    parser.add_argument("--broken_limit", type=float, default=DEFAULT_LIMIT, help="share of videos that may be broken")
    parser.add_argument("--workers", type=int, help="processes; else one a core, for large splits")
    given = parser.parse(argv)

    files = tasks.part(given.task, "files")
    splits = given.splits.split(",")
    for split in splits:
        if split not in files.SPLITS:
            raise InputError(f"--splits={given.splits}: no split {split!r}; there are {', '.join(files.SPLITS)}")
    scene_indices = {split: files.scene_indices(given.data, split) for split in splits}
    encoder: Encoder
    if given.encoder == MONET:
        if not given.checkpoint:
            raise InputError("--encoder=monet: name the run whose checkpoint encodes, with --checkpoint=WORKDIR.")
        encoder = monet.Encoder(given.checkpoint, files.find_videos(given.data), files.FRAMES, given.workers)
    else:
        encoder = tasks.part(given.task, given.encoder).Encoder(given.data, given.workers)
    folder = given.latents or given.data / "latents" / given.encoder
    for split in splits:
        skipped = fill(
            folder / split, scene_indices[split], encoder, given.broken_limit, f"videos of the {split} split"
        )
        print(f"{folder / split}: {len(scene_indices[split]) - len(skipped)} videos", flush=True)
        if skipped:
            print(skipped.summary(), flush=True)
    for remark in encoder.remarks():
        print(remark, flush=True)


if __name__ == "__main__":
    flags.run(main)
