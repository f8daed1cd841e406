"""Tabulates the whole CLEVRER step, compiled for a TPU slice without having one, by way to the position logits.

    python -m benchmarks.tpu_table [--slice=v2-32] [--out DIR]

Needs the extra `tpu-compile` (libtpu), about a minute per row on two cores, and no TPU. Memory figures and the
rejection of what does not fit are the compiler's own. Its time estimate is a sum over operations (`benchmarks.hlo`):
for comparing forms, not for predicting milliseconds.
"""

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from aloe.data.whole import write_whole
from benchmarks import entry, hlo, on_slice, results, tpu
from benchmarks.options import Options
from benchmarks.paths import CANDIDATES, PAIRS_AGAIN, PATHS, RANK
from benchmarks.programs import cost, largest_that_fits
from benchmarks.results import Row
from benchmarks.training import make_run, model_config, with_batch, with_data
from benchmarks.workloads import workload
from cluster.slices import Slice

TABLE = "CLEVRER's step by its position logits"
FRAMES = (3, 25, 76)  # T = 57, 233, 641: the sequence lengths of ACRE, CLEVRER and CATER
# In plain XLA: written the obvious way, then all on a par with rank, which saves no [T, T] array for the gradient.
FORMS = (*CANDIDATES, *PAIRS_AGAIN, RANK)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One program of the table."""

    frames: int
    form: str
    remat: bool


def rows(place: Slice, config: ConfigDict, devices: list[Any]) -> Iterator[Row]:
    """The largest part of the batch that fits without recomputation; if that is not all of it, also with it."""
    for frames in FRAMES:
        for form in FORMS:
            row, share = compiled_row(Cell(frames, form, remat=False), place, config, devices)
            yield row
            if share < 1:
                yield compiled_row(Cell(frames, form, remat=True), place, config, devices)[0]


def compiled_row(cell: Cell, place: Slice, config: ConfigDict, devices: list) -> tuple[Row, float]:
    """The row of a cell, and the share of the configured batch that it has: as much as fits."""
    path = {**PATHS, **PAIRS_AGAIN}[cell.form]
    config = config.copy_and_resolve_references()
    config.model.frames, config.model.remat = cell.frames, cell.remat
    whole = config.batch.descriptive // place.devices

    case: dict[str, str | int] = {"T": model_config(config).tokens, "form": cell.form}
    case["recomputes"] = "yes" if cell.remat else "no"
    try:
        with path():
            part, compiled = largest_that_fits(
                lambda part: make_run(with_batch(config, part, whole), devices).lowered().compile(),
                whole,
                tpu.usable_memory(place.generation),
            )
    except MemoryError:
        return Row(case | {"sequences per core": "none fits"}), 0.0
    config, said, text = with_batch(config, part, whole), cost(compiled), compiled.as_text() or ""
    sequences = sum(workload(config.task).sequences(config).values()) // place.devices
    seconds = hlo.estimated_cycles(text) / tpu.CLOCK[place.generation.name]
    useful = workload(config.task).step_flops(config)
    assert useful is not None
    with path():
        counted = on_slice.operations(on_slice.one_core(config, place.devices), on_slice.TRAIN)
    row = Row(
        case | {"sequences per core": sequences},
        figures={
            "estimated_ms": 1e3 * seconds,
            "estimated_ms per sequence": 1e3 * seconds / sequences,
            "useful_GFLOP": useful / place.devices / 1e9,
            "GFLOP": counted / 1e9,
            "temporary_bytes": said.temporary_bytes,
            "total_bytes": said.total_bytes,
            "all_reduced_bytes": hlo.all_reduced_bytes(text),
        },
    )
    return row, part / whole


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tpu_table", allow_abbrev=False)
    parser.add_argument("--slice", default="v2-32", help="by its official name")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder for the table")
    flags = parser.parse_args(argv)
    return entry.ended(lambda: write(flags.slice, flags.out))


def write(slice_name: str, folder: Path) -> None:
    """Writes the table of a slice, row by row as they are compiled.

    Raises:
      InputError: there is no such TPU slice; libtpu is not installed; the folder cannot be written to.
    """
    place = tpu.known_slice(slice_name)
    results.check_folder(folder)
    devices = tpu.compile_only_devices(place)
    results.commit()  # cached: that of the running code, even if files change meanwhile
    measured: list[Row] = []
    with tempfile.TemporaryDirectory() as data:
        for row in rows(place, with_data(Options().config(), Path(data)), devices):
            measured.append(row)
            print(dict(row.case), dict(row.figures), flush=True)
            document = results.document({TABLE: measured}, quick=False, device=tpu.described(place))
            name = f"tpu_{place.generation.name}"
            results.save(folder / f"{name}.json", document)
            write_whole(folder / f"{name}.md", results.text(document, "github") + "\n")


if __name__ == "__main__":
    sys.exit(main())
