"""What every shipped configuration needs per core, as a committed table that the tests hold the code to.

    python -m benchmarks.shipped                                 compiles what the table lacks
    python -m benchmarks.shipped --task=clevrer --variant=mlp    recompiles this one

Covers all variants of all tasks, except those for GPUs, on a v2-32, or on a v2-8 if the batch does not divide by the
cores of a v2-32; with recomputation where it does not fit otherwise. Needs libtpu (`make tpu-compile`), and one to five
minutes per configuration on two cores. Each is written as soon as it is done.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from aloe import tasks
from aloe.config import resolve
from aloe.data.fields import read_json
from aloe.data.whole import write_whole
from aloe.errors import InputError, nearest
from benchmarks import entry, on_slice, results, tpu
from benchmarks.on_slice import Program, Refused
from benchmarks.results import Row
from benchmarks.training import with_data
from cluster.slices import slice_named

SLICE, SMALLER = slice_named("v2-32"), slice_named("v2-8")
PATH = Path(__file__).parent / "results" / f"compiled_{SLICE.name}.json"
TABLE = "shipped configurations"
NOTHING, RECOMPUTED = "–", "model.remat=True"  # changes to what is shipped
FOR_GPUS = ("study", "study_masked_frames")  # variants
TOLERANCE = 0.05

Rows = Sequence[Mapping[str, Any]]  # as JSON


def shipped() -> list[tuple[str, str]]:
    """Task and variant of all configurations meant for slices, `paper` of each task first."""
    every = [(task, variant) for task in tasks.names() for variant in tasks.part(task, "config").VARIANTS]
    return sorted((each for each in every if each[1] not in FOR_GPUS), key=lambda each: each[1] != "paper")


def table() -> list[Mapping[str, Any]]:
    """All rows of the table."""
    return read_json(PATH)["tables"][TABLE] if PATH.exists() else []


def versions() -> Mapping[str, str]:
    """Versions of the packages that the table was made with."""
    return read_json(PATH)["versions"]


def committed(task: str, variant: str) -> Rows:
    """The table's rows for a configuration, one per program; none if it has not been compiled yet."""
    return [row for row in table() if (row["case"]["task"], row["case"]["variant"]) == (task, variant)]


def compared(rows: Rows, programs: Mapping[str, Program]) -> tuple[list[str], list[str]]:
    """What takes over 5 % more memory or FLOPs per core than the table says, and what takes over 5 % less.

    Args:
      rows: of a configuration.
      programs: its current ones, by name.
    """
    known = {row["case"]["step"]: row["figures"] for row in rows}
    more = [f"{name} is not in the table" for name in programs.keys() - known.keys()]
    more += [f"{name} is in the table alone" for name in known.keys() - programs.keys()]
    less = []
    for name in known.keys() & programs.keys():
        for what, now in _held(programs[name]).items():
            told = f"{name}: {what} {now:,.10g}, in the table {known[name][what]:,.10g}"
            if now > (1 + TOLERANCE) * known[name][what]:
                more.append(told)
            elif now < (1 - TOLERANCE) * known[name][what]:
                less.append(told)
    return sorted(more), sorted(less)


def _held(program: Program) -> dict[str, float]:
    return {"memory_bytes": program.memory_bytes, "GFLOP": program.gflop}


def compiled_rows(task: str, variant: str) -> Iterator[Row]:
    """Compiles a configuration: one row per program."""
    config, place, changed = resolve(task, variant, {}), SLICE, NOTHING
    devices = tpu.compile_only_devices(place)
    with tempfile.TemporaryDirectory() as folder:
        config = with_data(config, Path(folder))
        try:
            run = on_slice.open_run(config, place, devices)
        except InputError:  # the batch does not divide by the cores
            place = SMALLER
            run = on_slice.open_run(config, place, tpu.compile_only_devices(place))
        found = on_slice.programs(run, place)
        first = next(found)
        if isinstance(first, Refused):
            config.model.remat, changed = True, RECOMPUTED
            found = on_slice.programs(on_slice.open_run(config, place, list(run.mesh.devices.flat)), place)
            first = next(found)
        for program in (first, *found):
            if isinstance(program, Refused):
                raise RuntimeError(f"{task}, {variant}: {program.name} does not fit {place}, with {changed}")
            case = {"task": task, "variant": variant, "slice": place.name, "with": changed, "step": program.name}
            figures = _held(program) | {
                "all-reduced_bytes": program.all_reduced_bytes,
                "estimated_ms": program.estimated_ms,
            }
            yield Row(case, figures=figures)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shipped", allow_abbrev=False)
    parser.add_argument("--task", help="compile its configurations anew")
    parser.add_argument("--variant", help="compile this one of them anew")
    flags = parser.parse_args(argv)
    return entry.ended(lambda: write(flags.task, flags.variant))


def named(task: str | None, variant: str | None) -> list[tuple[str, str]]:
    """The shipped configurations of this task and this variant; None stands for any.

    Raises:
      InputError: there is no such task, or no configuration of that variant.
    """
    every = [each for each in shipped() if task in (None, each[0])]
    if not every:
        raise InputError(f"--task={task}: no such task{nearest(str(task), tasks.names())}")
    found = [each for each in every if variant in (None, each[1])]
    if not found:
        known = sorted({name for _, name in every})
        raise InputError(f"--variant={variant}: not among those for slices{nearest(str(variant), known)}")
    return found


def write(task: str | None, variant: str | None) -> None:
    """Recompiles what is named or, if nothing is, compiles what the table lacks; prints the table."""
    results.commit()  # cached: that of the running code, even if files change meanwhile
    wanted = named(task, variant)
    if task is None and variant is None:
        wanted = [each for each in wanted if not committed(*each)]
    for each in wanted:
        print(f"{', '.join(each)} …", file=sys.stderr, flush=True)
        _save(list(compiled_rows(*each)))
        jax.clear_caches()
    print(results.text(read_json(PATH)))


def _save(rows: Sequence[Row]) -> None:
    """Replaces the rows that the table has for a configuration by these."""
    document = results.document({TABLE: rows}, quick=False, device=tpu.described(SLICE))
    new = document["tables"][TABLE]
    replaced = {(row["case"]["task"], row["case"]["variant"]) for row in new}
    every = [row for row in table() if (row["case"]["task"], row["case"]["variant"]) not in replaced] + new
    order = shipped()
    every.sort(key=lambda row: order.index((row["case"]["task"], row["case"]["variant"])))
    document["tables"][TABLE] = every
    results.save(PATH, document)
    write_whole(PATH.with_suffix(".md"), results.text(document, "github") + "\n")


if __name__ == "__main__":
    sys.exit(main())
