"""Two results files side by side: what became faster or slower, and whether by more than the noise."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from aloe.errors import InputError


def read(path: Path) -> dict[str, Any]:
    """A results file.

    Raises:
      InputError: it is missing, or no results file.
    """
    try:
        results = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}; give a file that python -m benchmarks has written.") from error
    if not isinstance(results, dict) or "tables" not in results or "device" not in results:
        raise InputError(f"{path}: no results file (no 'tables'); give one that python -m benchmarks has written.")
    return results


def compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """A table of the timed rows that both have, with what tells the files apart above it."""
    lines = [
        f"{name}: {was} → {now}"
        for name, was, now in (
            ("commit", before["commit"], after["commit"]),
            ("device", before["device"]["kind"], after["device"]["kind"]),
            *((name, version, after["versions"].get(name)) for name, version in before["versions"].items()),
        )
        if was != now
    ]
    cells = []
    for title, rows in after["tables"].items():
        known = {key(row): row["seconds"] for row in before["tables"].get(title, []) if "seconds" in row}
        for row in rows:
            if "seconds" in row and key(row) in known:
                case = ", ".join(str(value) for value in row["case"].values())
                cells.append([title, case, *change(known[key(row)], row["seconds"])])
    if not cells:
        raise InputError("The two files have no case in common; compare runs of the same part and the same sizes.")
    table = tabulate(cells, ["table", "case", "ms before", "ms after", "times as fast", ""], disable_numparse=True)
    return "\n".join([*lines, "", table] if lines else [table])


def key(row: Mapping[str, Any]) -> frozenset:
    return frozenset(row["case"].items())


def change(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[str, str, str, str]:
    """Medians, their ratio, and a word where the ranges from min to max do not overlap."""
    word = ""
    if after["max"] < before["min"]:
        word = "faster"
    elif after["min"] > before["max"]:
        word = "slower"
    was, now = before["median"], after["median"]
    return f"{1e3 * was:.4g}", f"{1e3 * now:.4g}", f"{was / now:.2f}", word
