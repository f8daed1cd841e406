"""Where a program runs: on a slice through Ray, or in this process; the same function and configuration either way."""

import argparse
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from ml_collections import ConfigDict

from aloe.errors import InputError
from cluster import emulated, gang, slices
from launch.flags import Parser

Program = Callable[..., dict[str, Any]]
STOPPED = 128 + signal.SIGTERM  # the exit status of a run that was asked to stop, and saved


def add_machines(parser: Parser) -> None:
    """Flags that choose the machines."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--hosts", type=int, default=1, help="run on the smallest slice with so many hosts (4: v2-32)")
    where.add_argument("--slice", help="run on this slice, such as v2-32")
    parser.add_argument("--local", action="store_true", help="run in this process, on its devices, without Ray")


def slice_of(flags: argparse.Namespace) -> slices.Slice:
    return slices.slice_named(flags.slice) if flags.slice else slices.slice_for_hosts(flags.hosts)


def is_local(flags: argparse.Namespace) -> bool:
    """Whether to run in this process.

    Raises:
      InputError: the flags ask for a slice as well.
    """
    asked = f"--slice={flags.slice}" if flags.slice else f"--hosts={flags.hosts}" if flags.hosts != 1 else ""
    if flags.local and asked:
        raise InputError(f"--local runs in this one process, so it does not go with {asked}; leave one of them out.")
    return flags.local


def run_on(flags: argparse.Namespace, program: Program, config: ConfigDict, *, stoppable: bool = False) -> int:
    """Runs `program(config)` where the flags say.

    Without --local: on the Ray cluster that a submitted job belongs to, or that runs on this machine; where there is
    none, on a slice emulated on this machine's CPU for the time of the run.

    Args:
      stoppable: whether the program takes `stop`, which says after a step whether to save and leave.

    Returns:
      The exit status.
    """
    if is_local(flags):
        keywords = {"stop": stop_on_signal()} if stoppable else {}
        return STOPPED if program(config.to_dict(), **keywords).get("stopped") else 0
    wanted = slice_of(flags)
    entry = f"{program.__module__}:{program.__qualname__}"
    if gang.connect():
        return exit_status(gang.run(entry, config.to_dict(), wanted))
    print(f"No Ray cluster is running here: emulating a {wanted} on this machine's CPU.", flush=True)
    with emulated.EmulatedSlice(wanted):
        gang.connect()
        return exit_status(gang.run(entry, config.to_dict(), wanted))


def exit_status(outcome: gang.Outcome) -> int:
    return STOPPED if (outcome.value or {}).get("stopped") else outcome.exit_status


def stop_on_signal() -> Callable[[int], bool]:
    """Makes Ctrl-C and SIGTERM a request to stop after the current step; a second one ends the process at once.

    Returns:
      `stop(step)`, as the training loop asks it.
    """
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        print("\nStopping after this step; a checkpoint is saved first. Again, to end at once.", flush=True)
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, ask)
    return lambda step: asked
