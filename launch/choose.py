"""Chooses among MONet runs of several seeds by a score that needs no labels: the loss on held-out frames.

    python launch/choose.py --workdir=runs/monet-paper-s0 --workdir=runs/monet-paper-s1 --workdir=runs/monet-paper-s2

The last line is the workdir of the best run, for launch/encode.py --encoder=monet --checkpoint=WORKDIR. That uses the
latest checkpoint; a remark is printed for runs that were evaluated at another step.
"""

from etils import epath

from aloe.perception.monet import choose
from launch.flags import Parser, run


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument(
        "--workdir", type=epath.Path, action="append", required=True, help="folder of a run; may be repeated"
    )
    candidates = choose.ranked(parser.parse().workdir)
    remarks = "".join(f"\n\n{remark}" for remark in choose.remarks(candidates))
    print(f"{choose.table(candidates)}{remarks}\n\nThe lowest loss:\n{candidates[0].folder}")
    return 0


if __name__ == "__main__":
    run(main)
