"""Shows and changes the runs of a queue filled by launch/sweep.py, which may be running at the same time.

python launch/runs.py list
python launch/runs.py show RUN        its settings in the queue, and every attempt
python launch/runs.py logs RUN        the output of its last attempt
python launch/runs.py cancel RUN …    a waiting one at once; a running one saves and exits
python launch/runs.py retry RUN …     one that failed or was cancelled, with fresh budgets
"""

import datetime
import shutil
import sys
import time
from pathlib import Path

from tabulate import tabulate

from aloe.errors import InputError
from cluster.attempt import LOG, last_line
from cluster.driver import is_driven
from cluster.ledger import RUNNING, WAITING, Ledger
from launch.flags import Parser, run

_DRIVER = "the command that filled the queue is given again"


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument("action", choices=("list", "show", "logs", "cancel", "retry"))
    parser.add_argument("runs", nargs="*", metavar="RUN", help="names, as list prints them")
    parser.add_argument("--queue", type=Path, default=Path("runs") / "queue", help="folder of the queue")
    flags = parser.parse()
    if (flags.action == "list") == bool(flags.runs):
        raise InputError(f"{flags.action}: {'takes no names' if flags.runs else 'name the runs that are meant'}.")
    with Ledger(flags.queue.absolute(), create=False) as ledger:
        if flags.action == "list":
            print(listing(ledger), flush=True)
            if not is_driven(ledger.folder) and any(each.state in (RUNNING, WAITING) for each in ledger.runs()):
                print(f"Nothing drives this queue: what waits or ran goes on once {_DRIVER}.", file=sys.stderr)
        for name in flags.runs:
            if flags.action == "show":
                print(description(ledger, name))
            elif flags.action == "logs":
                print_log(ledger, name)
            elif flags.action == "cancel":
                state = ledger.cancel(name)
                if state == RUNNING:
                    state = "saves and leaves" if is_driven(ledger.folder) else f"is cancelled once {_DRIVER}"
                print(f"{name}: {state}")
            else:
                ledger.retry(name)
                print(f"{name}: waits" + ("" if is_driven(ledger.folder) else f"; it runs once {_DRIVER}"))
    return 0


def listing(ledger: Ledger) -> str:
    """One row per run, with the last line of its output or why it ended."""
    width = max(20, shutil.get_terminal_size((160, 24)).columns - 90)
    rows = []
    for each in ledger.runs():
        attempts = ledger.attempts(each.name)
        state, place, last = each.state, "", each.message
        if state == RUNNING:
            state = "cancelling" if each.cancelling else state
            place = f"{attempts[-1].kind} {attempts[-1].place}"
            last = last_line(ledger.attempt_folder(each.name, len(attempts)))
        spent = each.spent
        row = [each.name, each.priority, state, place, len(attempts), spent.preemptions, spent.failures, last[:width]]
        rows.append(row)
    headers = ["run", "priority", "state", "on", "attempts", "preemptions", "failures", "last"]
    return tabulate(rows, headers=headers)


def description(ledger: Ledger, name: str) -> str:
    """A run with all its attempts."""
    each = ledger.run(name)
    entry, config = ledger.request(name)
    lines = [
        f"{name}: {each.state}" + (f" ({each.message})" if each.message else ""),
        f"  runs         {entry}, on {' or '.join(each.kinds)}; priority {each.priority}",
        f"  workdir      {config.get('workdir', '–')}",
        f"  charged      {each.spent.preemptions} preemptions, {each.spent.failures} failures",
    ]
    if each.not_before > time.time():
        lines += [f"  pauses until {clock(each.not_before)}"]
    attempts = ledger.attempts(name)
    if attempts:
        rows = [
            [a.number, f"{a.kind} {a.place}", clock(a.started), clock(a.ended), a.ending or "runs", a.message]
            for a in attempts
        ]
        lines += ["", tabulate(rows, headers=["attempt", "on", "started", "ended", "how", "why"])]
        lines += ["", f"log: {ledger.attempt_folder(name, len(attempts)) / LOG}"]
    return "\n".join(lines)


def print_log(ledger: Ledger, name: str) -> None:
    """Prints the log of the last attempt. Raises InputError if the run has not been started yet."""
    number = len(ledger.attempts(ledger.run(name).name))
    path = ledger.attempt_folder(name, number) / LOG
    if not path.exists():
        raise InputError(f"{name}: it has not been started yet, so there is no log.")
    with path.open(errors="replace") as log:
        shutil.copyfileobj(log, sys.stdout)


def clock(seconds: float | None) -> str:
    """Seconds since 1970 as date and time; nothing for None."""
    if seconds is None:
        return ""
    return datetime.datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")


if __name__ == "__main__":
    run(main)
