"""Reports, before any training, what a data folder holds and what is wrong with it.

    python launch/check_data.py DIR --task=clevrer

Exits with status 0 if the folder can be used for training, else with status 2 and a list of problems, each with file,
field and fix. `--decode` decodes every video instead of reading its header, which takes about 0.05 s per video on one
core.
"""

from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from aloe import tasks
from aloe.data.findings import Findings
from aloe.data.skipped import DEFAULT_LIMIT
from aloe.errors import InputError
from launch import flags

_SHOWN = 50


def main(argv: Sequence[str] | None = None) -> None:
    parser = flags.Parser(__doc__)
    parser.add_argument("data", type=Path, metavar="DIR", help="the data folder")
    parser.add_argument("--task", default="clevrer", help="name of a folder in aloe/tasks/")
    parser.add_argument("--decode", action="store_true", help="decode every video")
    parser.add_argument("--broken_limit", type=float, default=DEFAULT_LIMIT, help="share of videos that may be broken")
    given = parser.parse(argv)

    findings = tasks.part(given.task, "check").check(given.data, given.decode, given.broken_limit)
    if findings.counts:
        print(table(findings))
    for note in findings.notes:
        print(f"note: {note}")
    if findings.problems:
        listed = [f"{number}. {problem}" for number, problem in enumerate(findings.problems[:_SHOWN], start=1)]
        if len(findings.problems) > _SHOWN:
            listed.append(f"… and {len(findings.problems) - _SHOWN} more")
        raise InputError("\n".join([f"{given.data}: {len(findings.problems)} problems", *listed]))
    print(f"{given.data}: fine")


def table(findings: Findings) -> str:
    """The counts as a table, with one row per count and one column per split."""
    rows = list(dict.fromkeys(row for counts in findings.counts.values() for row in counts))
    body = [[row, *(counts.get(row, "") for counts in findings.counts.values())] for row in rows]
    return tabulate(body, headers=["", *findings.counts])


if __name__ == "__main__":
    flags.run(main)
