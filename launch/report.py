"""Plots the learning curves of runs: each validation score over the steps, together with its controls.

    python launch/report.py --workdir=runs/first --workdir=runs/second --out=curves.png

    python launch/report.py --workdir=runs/first --goodput

The controls are those of the latest table that launch/evaluate.py has written to the first workdir. With --goodput it
instead prints how the time of each run was spent, over all its restarts, and which hosts were slow.
"""

from etils import epath

from aloe.training import goodput, report
from launch.flags import Parser, run


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument(
        "--workdir", type=epath.Path, action="append", required=True, help="folder of a run; may be repeated"
    )
    parser.add_argument("--out", type=epath.Path, help="the picture; else curves.png in the first workdir")
    parser.add_argument("--goodput", action="store_true", help="print where the time went, instead of drawing")
    flags = parser.parse()
    if flags.goodput:
        print("\n\n".join(goodput.report(workdir) for workdir in flags.workdir))
        return 0
    out = flags.out or flags.workdir[0] / "curves.png"
    report.draw_curves(flags.workdir, out)
    print(out)
    return 0


if __name__ == "__main__":
    run(main)
