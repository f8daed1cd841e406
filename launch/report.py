"""Draws the learning curves of runs: the validation scores of each kind over the steps, beside their controls.

    python launch/report.py --workdir=runs/first --workdir=runs/second --out=curves.png

The controls are those of the latest table that launch/evaluate.py has written into the first workdir.
"""

from pathlib import Path

from aloe.training import report
from launch.flags import Parser, run


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument("--workdir", type=Path, action="append", required=True, help="folder of a run; may be repeated")
    parser.add_argument("--out", type=Path, help="the picture; else curves.png in the first workdir")
    flags = parser.parse()
    out = flags.out or flags.workdir[0] / "curves.png"
    report.draw_curves(flags.workdir, out)
    print(out)
    return 0


if __name__ == "__main__":
    run(main)
