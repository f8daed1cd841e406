"""Trains a task once per seed, variant and setting, on as many slices as there are; then prints mean ± std.

    python launch/sweep.py --task=clevrer --seeds=5 --hosts=4           on the slices of a Ray cluster
    python launch/sweep.py --task=clevrer --seeds=5 --local             on this machine, one process per visible device
    … --local --runs_per_device=3                                       small models share a GPU
    … --variants=paper,mlp --fractions=10,25,50,100                     labelled share of the videos, in percent
    … --grid config.optimizer.learning_rate=1e-3,2e-3                   more fields, each with its values

Runs have their workdirs in --folder: <task>-<variant>-s<seed>. A sweep can be killed at any time; the same command
then keeps finished runs, and resumes interrupted ones from their last checkpoint. launch/runs.py shows, cancels and
retries runs.
"""

import argparse
import os
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import jax
from etils import epath
from ml_collections import ConfigDict

from aloe import tasks
from aloe.config import to_json
from aloe.errors import InputError
from aloe.paths import on_disk
from aloe.training import loop, workdir
from aloe.training.log import DIAGNOSIS, VALIDATION
from aloe.training.summary import FORMATS, summarize, table
from aloe.training.task import Task
from cluster import slices
from cluster.attempt import DEVICE
from cluster.driver import drive, sole_driver
from cluster.errors import UnavailableError
from cluster.ledger import WAITING, Ledger, Request
from cluster.local import visible_devices
from cluster.outcomes import Ending
from cluster.policy import Place
from launch.flags import Parser, run
from launch.grid import Cell, cells
from launch.machines import add_machines, add_smaller, slice_of, with_smaller

PROGRAM = "launch.programs:train"


def main() -> int:
    parser = Parser(__doc__)
    parser.add_task()
    parser.add_data()
    parser.add_overrides()
    add_machines(parser, local="run on this machine without Ray, one process a visible device")
    add_smaller(parser)
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="number of seeds: 0 to N − 1")
    parser.add_argument("--variants", default=os.environ.get("ALOE_VARIANT", "paper"), help="comma-separated")
    parser.add_argument("--fractions", default="", help="percentages of videos that keep their labels, comma-separated")
    parser.add_argument("--grid", nargs="+", action="extend", default=[], metavar="config.FIELD=VALUE,VALUE")
    parser.add_argument("--runs_per_device", type=int, default=1, metavar="N", help="runs sharing a device (--local)")
    parser.add_argument("--priority", type=int, default=0, help="higher priorities start first")
    parser.add_argument("--folder", type=epath.Path, default=epath.Path("runs"), help="parent folder of the workdirs")
    parser.add_argument("--queue", type=Path, help="folder of the queue, on a local disk; else FOLDER/queue")
    parser.add_argument("--format", choices=FORMATS, default="md", help="format of the table")
    flags = parser.parse()
    jax.config.update("jax_platforms", "cpu")  # this process only checks data; the devices are for the runs
    wanted = slice_of(flags)
    if flags.runs_per_device < 1 or (wanted is not None and flags.runs_per_device > 1):
        raise InputError(
            f"--runs_per_device={flags.runs_per_device}: give a number of at least 1, and more with --local alone: a "
            "slice has one run at a time."
        )
    queue = queue_folder(flags).absolute()
    asked = cells(flags)
    kinds = check(asked, wanted, flags.smaller)
    with Ledger(queue) as ledger, sole_driver(queue):
        requests = [
            Request(cell.name, PROGRAM, cell.config.to_dict(), kinds[cell.name], flags.priority) for cell in asked
        ]
        new = ledger.add(requests)
        say(f"{len(asked)} runs, {len(new)} of them new; queue {ledger.folder}")
        names = [cell.name for cell in asked]
        status = (
            drive_on_devices(ledger, names, flags.runs_per_device)
            if wanted is None
            else drive_on_slices(ledger, names, wanted)
        )
        return status or report(ledger, asked, flags.format)


def queue_folder(flags: argparse.Namespace) -> Path:
    """The folder of the queue.

    Raises:
      InputError: it would be in a bucket, which SQLite cannot use.
    """
    return flags.queue or on_disk(
        flags.folder / "queue", "--queue", "name a folder on this machine's disk, as --queue=DIR"
    )


def check(asked: Sequence[Cell], wanted: slices.Slice | None, smaller: bool) -> dict[str, tuple[str, ...]]:
    """Checks settings, workdirs and data before anything is started.

    Returns:
      By run, the kinds of places it may use, best fit first.

    Raises:
      InputError: a setting or the data is wrong, or a workdir holds another configuration.
    """
    kinds = {}
    seen: dict[str, tuple[str, ...]] = {}
    for cell in asked:
        loop.check_settings(cell.config)
        workdir.refuse_another(cell.config)
        # Opening the data takes a while, and is the same for all seeds.
        shared = ConfigDict(cell.config.to_dict() | {"seed": 0, "workdir": ""})
        key = to_json(shared)
        if key not in seen:
            task: Task = tasks.part(cell.config.task, "task").make(cell.config)
            seen[key] = kinds_for(task, cell.config.batch.accumulation, wanted, smaller)
        kinds[cell.name] = seen[key]
    return kinds


def kinds_for(task: Task, accumulation: int, wanted: slices.Slice | None, smaller: bool) -> tuple[str, ...]:
    """The requested slice, larger ones whose device count divides the batches, and smaller ones if requested."""
    streams = task.streams()
    if wanted is None:
        loop.check_batches(streams, accumulation, devices=1)
        return (DEVICE,)

    def divides(slice: slices.Slice) -> bool:
        try:
            loop.check_batches(streams, accumulation, slice.devices)
        except InputError:
            return False
        return True

    larger = [s for s in slices.SLICES if s.generation == wanted.generation and s.chips > wanted.chips and divides(s)]
    below = with_smaller(wanted, smaller)[1:]
    return (wanted.name, *(slice.name for slice in [*larger, *below]))


def drive_on_devices(ledger: Ledger, asked: Collection[str], runs_per_device: int) -> int:
    devices = visible_devices(runs_per_device)
    say(f"on this machine: {', '.join(device.name for device in devices)}")
    return drive(ledger, lambda: devices, asked=asked, say=say)


def drive_on_slices(ledger: Ledger, asked: Collection[str], wanted: slices.Slice) -> int:
    """Drives on the cluster that this job belongs to or that runs here; if there is none, on a slice emulated here."""
    from cluster import emulated, gang, placement  # they import Ray, which --local does not need

    def drive_on(places: Callable[[], list[Place]]) -> int:
        there = {place.kind for place in places()}
        if any(run.name in asked and there.isdisjoint(run.kinds) for run in ledger.runs(WAITING)):
            raise UnavailableError(
                f"the cluster has no whole slice that fits: {wanted} or a larger one. It has {placement.inventory()}."
            )
        return drive(ledger, places, asked=asked, say=say)

    if gang.connect():
        return drive_on(placement.places)
    say(f"No Ray cluster is running here: emulating {wanted} on this machine's CPU.")
    with emulated.EmulatedSlice(wanted, port=None) as here:
        gang.connect(here.address)
        return drive_on(placement.places)


def report(ledger: Ledger, asked: Sequence[Cell], format: str) -> int:
    """Prints the table of the runs that succeeded; returns 0 if all did, else 1."""
    states = {run.name: run for run in ledger.runs()}
    done = [cell for cell in asked if states[cell.name].state == Ending.SUCCEEDED]
    results = []
    for cell in done:
        value = ledger.value(cell.name)
        numbers = {DIAGNOSIS + name: number for name, number in value.get("diagnosis", {}).items()}
        results.append((cell.labels, value["scores"] | numbers))
    if results:
        print(table(summarize(results, VALIDATION.rstrip("/")), format), flush=True)
    for cell in asked:
        if cell not in done:
            last = states[cell.name]
            say(f"not in the table: {cell.name}, {last.state}: {last.message}. python launch/runs.py show {cell.name}")
    return 0 if len(done) == len(asked) else 1


def say(text: str) -> None:
    """Prints to standard error, as standard output is for the table."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run(main)
