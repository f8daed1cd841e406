"""Where a program runs: on a slice via Ray, or in this process; same function and configuration either way."""

import argparse
import signal
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from ml_collections import ConfigDict

from aloe.errors import InputError
from cluster import slices
from launch.flags import Parser


def add_machines(
    parser: Parser, local: str = "run in this process, on its devices, without Ray", *, optional: bool = False
) -> None:
    """Adds the flags that choose the machines; `local` is the help of --local, which is the default if `optional`."""
    where = parser.add_mutually_exclusive_group()
    default = None if optional else 1
    where.add_argument(
        "--hosts", type=int, default=default, help="run on the smallest slice with this many TPU hosts (4: v2-32)"
    )
    where.add_argument("--slice", help="run on this slice, such as v2-32, h100-16 or cpu-2")
    if not optional:
        parser.add_argument("--local", action="store_true", help=local)


def add_smaller(parser: Parser) -> None:
    parser.add_argument(
        "--smaller", action="store_true", help="continue on a smaller slice, with the same batch, if no other is there"
    )


def with_smaller(wanted: slices.Slice, smaller: bool) -> list[slices.Slice]:
    """The slice and, if `smaller`, those of its generation with fewer chips, largest first."""
    below = [each for each in slices.SLICES if each.generation == wanted.generation and each.chips < wanted.chips]
    return [wanted, *(reversed(below) if smaller else ())]


def slice_of(flags: argparse.Namespace) -> slices.Slice | None:
    """The slice that the flags name; None for this process: with --local, or with no flag where they are optional.

    Raises:
      InputError: the flags ask for both.
      ClusterError: there is no such slice.
    """
    local = getattr(flags, "local", flags.slice is None and flags.hosts is None)
    if local and (flags.slice or flags.hosts not in (None, 1)):
        asked = f"--slice={flags.slice}" if flags.slice else f"--hosts={flags.hosts}"
        raise InputError(f"--local runs in this one process, so it does not go with {asked}; leave one of them out.")
    if local:
        return None
    return slices.slice_named(flags.slice) if flags.slice else slices.slice_for_hosts(flags.hosts)


def run_on_slice(kinds: Sequence[slices.Slice], program: Callable[..., Any], config: ConfigDict) -> int:
    """Runs `program(config)` on every host of a slice to its final outcome, restarting after preemptions and failures.

    The cluster is the one that a submitted job belongs to, or one that runs on this machine; if there is none, a slice
    is emulated on this machine's CPU for the duration of the run.

    Args:
      kinds: slice kinds it may use, best fit first.
      program: resumes from where it was.
      config: its argument.

    Returns:
      The exit status.
    """
    from cluster import emulated, gang, supervisor  # they import Ray, which a run in this process does not need

    entry = f"{program.__module__}:{program.__qualname__}"
    if gang.connect():
        return supervisor.keep_running(entry, config.to_dict(), kinds).exit_status
    print(f"No Ray cluster is running here: emulating {kinds[0]} on this machine's CPU.", flush=True)
    with emulated.EmulatedSlice(kinds[0], port=None) as here:
        gang.connect(here.address)
        return supervisor.keep_running(entry, config.to_dict(), kinds[:1]).exit_status


class StopOnSignal:
    """Makes the first Ctrl-C or SIGTERM a request to stop after the current step; a second one ends the process.

    The training loop calls it after every step; `exit_status` is the one for the process, 0 if no signal came.
    """

    def __init__(self) -> None:
        self.exit_status = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.receive)

    def __call__(self, step: int) -> bool:
        return self.exit_status != 0

    def receive(self, number: int, frame: FrameType | None) -> None:
        self.exit_status = 128 + number
        print("\nStopping after this step; a checkpoint is saved first. Again, to end at once.", flush=True)
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
