"""Two results files side by side: what became faster or slower, and whether by more than the noise."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from aloe.data.fields import field, optional_field, read_json, within
from aloe.errors import InputError

NOT_INSTALLED = "not installed"


def read(path: Path) -> dict[str, Any]:
    """Reads a results file.

    Raises:
      InputError: it is missing, or not a results file; the message names the wrong field.
    """
    try:
        results = read_json(path)
        check(results)
    except InputError as error:
        told = str(error).removeprefix(f"{path}: ")
        raise InputError(f"{path}: {told}; give a file that python -m benchmarks has written.") from error
    return results


def check(results: Any) -> None:
    """Raises InputError, which names the place, on anything that is not structured like a results file."""
    tables, device, versions = (field(results, name, dict) for name in ("tables", "device", "versions"))
    with within("device"):
        field(device, "kind", str)
        field(device, "count", int)
    with within("versions"):
        field(versions, "jax", str)
        for name in versions:
            field(versions, name, str)
    for title in tables:
        for number, row in enumerate(field(tables, title, list)):
            with within(f"table {title!r}, row {number}"):
                _check_row(row)


def _check_row(row: Any) -> None:
    for part, kinds in (("case", str | int | float), ("figures", str | int | float | None)):
        for name, value in field(row, part, dict).items():
            _check_value(f"{part}.{name}", value, kinds)
    timed = optional_field(row, "seconds", dict)
    for name in ("median", "min", "max") if timed is not None else ():
        _check_value(f"seconds.{name}", timed.get(name), int | float)
    for name in ("flops_per_second", "share_of_peak"):
        _check_value(name, row.get(name), int | float | None)


def _check_value(name: str, value: Any, kinds: Any) -> None:
    if not isinstance(value, kinds):
        raise InputError(f"field {name!r} is {value!r}, which is no {'number' if kinds == int | float else 'figure'}")


def compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """A table of the timed rows that both have; above it the conditions that differ, below it rows that only one has.

    Raises:
      InputError: no case is timed in both.
    """
    lines = [f"{name}: {was} → {now}" for name, was, now in conditions(before, after) if was != now]
    cells = []
    common = 0
    for title, rows in after["tables"].items():
        known = {key(row): row for row in before["tables"].get(title, [])}
        for row in rows:
            if key(row) not in known:
                continue
            common += 1
            was = known[key(row)]
            if row.get("seconds") and was.get("seconds"):
                case = ", ".join(str(value) for value in row["case"].values())
                cells.append([title, case, *change(was["seconds"], row["seconds"])])
    if not cells and common:
        raise InputError(
            f"Of the two files' rows of equal cases, {common}, none has a time in both, and times are what is "
            "compared; python -m benchmarks show prints the figures of each."
        )
    if not cells:
        raise InputError("The two files have no case in common; compare runs of the same part and the same sizes.")
    table = tabulate(cells, ["table", "case", "ms before", "ms after", "times as fast", ""], disable_numparse=True)
    alone = [*only("before", before, after), *only("after", after, before)]
    return "\n\n".join(part for part in ("\n".join(lines), table, "\n".join(alone)) if part)


def only(which: str, results: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """A line for each row of one file whose case the other lacks, such as a batch that no longer fits."""
    for title, rows in results["tables"].items():
        known = {key(row) for row in other["tables"].get(title, [])}
        for row in rows:
            if key(row) not in known:
                yield f"only {which}: {title}: {', '.join(map(str, row['case'].values()))}"


def conditions(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """The conditions that times depend on: name, value before and value after."""
    yield "commit", before.get("commit"), after.get("commit")
    yield "device", before["device"]["kind"], after["device"]["kind"]
    yield "devices", before["device"]["count"], after["device"]["count"]
    was, now = ("quick" if each.get("quick") else "whole" for each in (before, after))
    yield "sizes", was, now
    were, are = before["versions"], after["versions"]
    for name in {**were, **are}:
        yield name, were.get(name, NOT_INSTALLED), are.get(name, NOT_INSTALLED)


def key(row: Mapping[str, Any]) -> frozenset:
    return frozenset(row["case"].items())


def change(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[str, str, str, str]:
    """Medians in ms, their ratio, and a verdict if the ranges from min to max do not overlap."""
    word = ""
    if after["max"] < before["min"]:
        word = "faster"
    elif after["min"] > before["max"]:
        word = "slower"
    was, now = before["median"], after["median"]
    return f"{1e3 * was:.4g}", f"{1e3 * now:.4g}", f"{was / now:.2f}", word
