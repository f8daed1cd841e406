"""Rows of measurements, their tables, and the JSON that records them with device, versions and commit."""

import dataclasses
import datetime
import functools
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from tabulate import tabulate

from aloe.data.whole import write_whole
from aloe.errors import InputError
from benchmarks.devices import Peak, peak
from benchmarks.timing import Timing

PACKAGES = (
    *("jax", "jaxlib", "jax-cuda13-plugin", "jax-cuda12-plugin", "nvidia-cudnn-cu13", "nvidia-nccl-cu13", "libtpu"),
    *("flax", "optax", "orbax-checkpoint", "grain", "numpy", "torch"),
)
UNITS = {"bytes": (2.0**20, "MiB"), "seconds": (1.0, "s"), "second": (1.0, "second"), "share": (0.01, "%")}


@dataclasses.dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
      case: what was measured, by name; rows of two files with equal cases are compared.
      timing: of one call.
      flops: useful operations of one call (`benchmarks.flops`).
      figures: other numbers, by names that end with the unit (`_bytes`, `_seconds`, `_share` of 1), and text.
    """

    case: Mapping[str, str | int]
    timing: Timing | None = None
    flops: float | None = None
    figures: Mapping[str, float | int | str | None] = dataclasses.field(default_factory=dict)

    def to_json(self, best: Peak | None) -> dict[str, Any]:
        row: dict[str, Any] = {"case": dict(self.case)}
        if self.timing:
            row["seconds"] = dataclasses.asdict(self.timing)
        if self.timing and self.flops:
            row["useful_flops"] = self.flops
            row["flops_per_second"] = self.flops / self.timing.median
            row["share_of_peak"] = self.flops / self.timing.median / best.flops if best else None
        return row | {"figures": dict(self.figures)}


Tables = Mapping[str, Sequence[Row]]  # by title
Measured = Iterator[tuple[str, Row]]  # the table's title, and a row of it, as soon as it is available


def document(tables: Tables, *, quick: bool, device: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The content of a results file. `device` defaults to that of this process."""
    best = peak(jax.devices()[0])
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "quick": quick,
        "device": device or this_device(),
        "versions": {"python": platform.python_version(), **versions()},
        "tables": {title: [row.to_json(best) for row in rows] for title, rows in tables.items()},
    }


def this_device() -> dict[str, Any]:
    device = jax.devices()[0]
    best = peak(device)
    return {
        "platform": device.platform,
        "kind": device.device_kind,
        "count": jax.device_count(),
        "host": f"{processor()}, {threads()} threads",
        "peak_flops": best.flops if best else None,
        "peak_source": best.source if best else None,
    }


def processor() -> str:
    """The model of this machine's processors, as far as the system reports it."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def threads() -> int | None:
    """Processors that this process may run on, if the system reports that; else all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def versions() -> dict[str, str]:
    """Versions of the installed packages that matter to speed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def commit() -> str | None:
    """The working tree's commit at the first call, with "+" if there are changes; None outside git."""
    folder = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()


def check_folder(folder: Path) -> None:
    """Creates the folder for results; raises InputError if it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"--out={folder}: {error.strerror}; name a folder that can be written.") from error


def save(path: Path, results: Mapping[str, Any]) -> None:
    write_whole(path, json.dumps(results, indent=1) + "\n")


def text(results: Mapping[str, Any], style: str = "simple") -> str:
    """The tables for human readers; `style` is one of tabulate's."""
    device, best = results["device"], results["device"].get("peak_flops")
    against = f"peak {best / 1e12:.1f} TFLOP/s bfloat16 ({device.get('peak_source')})" if best else "peak not known"
    made_by = f"commit {results.get('commit')}, jax {results['versions']['jax']}"
    head = f"{device['kind']} × {device['count']}, {against}; {made_by}"
    tables = [f"{title}\n\n{table(rows, style)}" for title, rows in results["tables"].items()]
    return "\n\n".join([head, *tables])


def table(rows: Sequence[Mapping[str, Any]], style: str = "simple") -> str:
    """One table, from rows as JSON: cases, time, useful rate, then the other figures."""
    lines = [cells(row) for row in rows]
    return tabulated(lines, list(dict.fromkeys(name for line in lines for name in line)), style)


def tabulated(lines: Sequence[Mapping[str, str]], columns: Sequence[str], style: str) -> str:
    """The table with these columns; a line that lacks one has a dash there."""
    found = [[line.get(name, "–") for name in columns] for line in lines]
    return tabulate(found, columns, tablefmt=style, disable_numparse=True, colalign=["right"] * len(columns))


def cells(row: Mapping[str, Any]) -> dict[str, str]:
    """The cells of a row's line in the table, by column.

    Args:
      row: as JSON.
    """
    cells = {name: str(value) for name, value in row["case"].items()}
    if row.get("seconds"):
        times = {name: 1e3 * row["seconds"][name] for name in ("median", "min", "max")}
        cells["ms"] = f"{times['median']:.4g}"
        cells["min–max"] = f"{times['min']:.4g}–{times['max']:.4g}"
    if row.get("flops_per_second"):
        cells["TFLOP/s"] = f"{row['flops_per_second'] / 1e12:.3g}"
        cells["% of peak"] = f"{100 * row['share_of_peak']:.1f}" if row.get("share_of_peak") else "–"
    for name, value in row["figures"].items():
        if isinstance(value, str):
            cells[name] = value
            continue
        words, _, unit = name.rpartition("_")
        scale, symbol = UNITS.get(unit, (1.0, unit))
        cells[f"{words.replace('_', ' ')} {symbol}".strip()] = "–" if value is None else f"{value / scale:,.4g}"
    return cells
