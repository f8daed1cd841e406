"""Compiles a configuration's train and prediction steps for a slice, without a TPU: what fits, before renting one.

    python launch/compile_check.py --task=clevrer --slice=v2-32
    python launch/compile_check.py --task=cater --slice=v2-32 --config.model.remat=True --largest

Needs libtpu (make tpu-compile), and about a minute per program on two cores. Memory figures and the refusal of what
does not fit come from the compiler itself; its time estimate is for comparisons only, not a prediction. Without --data,
made-up data is used. The exit status is 1 if something does not fit.
"""

import contextlib
import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from ml_collections import ConfigDict
from tabulate import tabulate

from aloe.progress_bar import progress_bar
from benchmarks import on_slice, tpu
from benchmarks.on_slice import Program, Refused
from benchmarks.training import Run, with_data
from cluster.slices import Slice, slice_named
from launch.flags import Parser, resolve_run, run
from launch.mends import mends

GIB = 2**30


def main() -> int:
    parser = Parser(__doc__)
    parser.add_run()
    parser.add_argument("--slice", required=True, help="such as v2-32")
    parser.add_argument("--largest", action="store_true", help="also find the largest batch whose train step fits")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="output format")
    flags = parser.parse()
    place, config = slice_named(flags.slice), resolve_run(flags)
    devices = tpu.compile_only_devices(place)
    with data(config, given=flags.data_given) as config:
        run = on_slice.open_run(config, place, devices)
        bar = progress_bar(
            on_slice.programs(run, place), f"compiling for {place.name}", len(on_slice.names(run)), unit="program"
        )
        found = list(bar)
        batch = largest_batch(run, place, found[0]) if flags.largest else None
    if flags.format == "json":
        print(as_json(run, place, found, batch))
    else:
        print(as_text(run, place, found))
        if flags.largest:
            print(f"\nThe largest batch that trains: {settings(batch) if batch else 'none, not one example a core'}")
    return int(any(isinstance(each, Refused) for each in found))


@contextlib.contextmanager
def data(config: ConfigDict, *, given: bool) -> Iterator[ConfigDict]:
    """The configuration with its data if that was given, else with made-up data that is deleted afterwards."""
    if given:
        yield config
        return
    with tempfile.TemporaryDirectory() as folder:
        yield with_data(config, Path(folder))


def largest_batch(run: Run, place: Slice, train: Program | Refused) -> dict[str, int] | None:
    """Like `on_slice.largest_batch`, but shows a line for each batch tried and the time left."""
    with progress_bar(desc="largest batch", unit="program") as bar:

        def tried(batch: Mapping[str, int], taken: int | None, left: int) -> None:
            bar.total = bar.n + 1 + left
            bar.update()
            fits = f"{taken / GIB:.2f} GiB a core" if taken else "does not fit"
            bar.write(f"{settings(batch)}: {fits}", file=sys.stderr)

        return on_slice.largest_batch(run, place, train, tried)


def as_text(run: Run, place: Slice, found: list[Program | Refused]) -> str:
    usable = tpu.usable_memory(place.generation)
    lines = [
        (
            each.name,
            f"{each.memory_bytes / GIB:.2f}",
            f"{each.memory_bytes / usable:.0%}",
            f"{each.gflop:,.4g}",
            f"{each.all_reduced_bytes / 2**20:.4g}",
            f"{each.estimated_ms:,.4g}",
        )
        for each in found
        if isinstance(each, Program)
    ]
    rows = on_slice.rows_per_core(run, place)
    head = f"{run.config.task}, {run.config.variant}, for {place}; {usable / GIB:.2f} GiB a core; compiled, not run"
    batch = ", ".join(f"{count} {name}" for name, count in rows.items())
    columns = ("step", "GiB a core", "of it", "GFLOP a core", "MiB all-reduced", "ms, estimated")
    table = tabulate(lines, columns, disable_numparse=True, colalign=("left", *["right"] * 5))
    return "\n\n".join(
        [f"{head}\nA core has of a batch: {batch}", *([table] if lines else []), *refusals(run, place, found)]
    )


def refusals(run: Run, place: Slice, found: list[Program | Refused]) -> list[str]:
    """One line per program that does not fit, with what would help."""
    usable, said = tpu.usable_memory(place.generation), []
    for each in found:
        if isinstance(each, Refused):
            needed = f"{each.needed_bytes / GIB:.2f}" if each.needed_bytes else "more than all"
            flags = ", ".join(mends(run, place, each))
            advice = f"try {flags}" if flags else "take a smaller batch; --largest finds one"
            said.append(f"{each.name} does not fit: {needed} of {usable / GIB:.2f} GiB a core; {advice}")
    return said


def settings(batch: Mapping[str, int]) -> str:
    return " ".join(f"--config.batch.{name}={count}" for name, count in batch.items())


def as_json(run: Run, place: Slice, found: list[Program | Refused], batch: Mapping[str, int] | None) -> str:
    record = {
        "task": run.config.task,
        "variant": run.config.variant,
        "slice": place.name,
        "usable_bytes": tpu.usable_memory(place.generation),
        "fits": {each.name: dataclasses.asdict(each) for each in found if isinstance(each, Program)},
        "does_not_fit": {each.name: each.needed_bytes for each in found if isinstance(each, Refused)},
        "mends": {each.name: mends(run, place, each) for each in found if isinstance(each, Refused)},
        "largest_batch": batch,
    }
    return json.dumps(record, indent=1)


if __name__ == "__main__":
    run(main)
