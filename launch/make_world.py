"""Writes a small data set of our own in a task's official format, from a seed.

    python launch/make_world.py --task=clevrer --videos=600 --size=96x64

Existing videos with the same seed and size are kept, so it can be stopped and run again.
With --without_videos it writes everything but the videos, which studies on the oracle's latents do not need; running it
again without the flag adds them.
"""

from pathlib import Path

from aloe import tasks
from aloe.errors import InputError
from launch import flags


def main() -> None:
    parser = flags.Parser(__doc__)
    parser.add_task()
    parser.add_argument("--videos", type=int, help="total number, over all splits")
    parser.add_argument("--out", type=Path, help="folder to write to; else data/TASK")
    parser.add_argument("--seed", type=int, default=0, help="different seeds give different worlds")
    parser.add_argument("--size", help="WIDTHxHEIGHT of the pictures, in pixels; default: as in the official dataset")
    parser.add_argument("--workers", type=int, help="processes; else one for each core")
    parser.add_argument("--gpu", action="store_true", help="draw the pictures on this machine's GPU")
    parser.add_argument("--without_videos", action="store_true", help="write annotations and questions, draw nothing")
    task = parser.task_given()
    own = getattr(tasks.part(task, "world"), "FLAGS", {}) if task else {}
    for name, options in own.items():
        parser.add_argument(f"--{name}", **options)
    given = parser.parse()
    out = given.out or Path("data") / given.task
    how = {"workers": given.workers, "gpu": given.gpu, "draw": not given.without_videos}
    how |= {name: getattr(given, name) for name in own}
    print(tasks.part(given.task, "world").write(out, given.videos, seed=given.seed, **_size(given.size), **how))


def _size(text: str | None) -> dict[str, int]:
    if text is None:
        return {}
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise InputError(f"--size={text}: write it as WIDTHxHEIGHT, such as 480x320.")
    return {"width": int(width), "height": int(height)}


if __name__ == "__main__":
    flags.run(main)
