"""The command line of `python -m benchmarks`."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax

from aloe.errors import InputError
from benchmarks import attention, results, step
from benchmarks.options import Options
from benchmarks.results import Tables

PARTS: Mapping[str, Callable[[Options], Tables]] = {"attention": attention.run, "step": step.run}
ALL = "all"
OVERRIDE = "--config."


def main(argv: Sequence[str] | None = None) -> int:
    flags, options = parse(argv)
    try:
        measure(flags.part, options)
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    return 0


def parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, Options]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", allow_abbrev=False)
    parser.add_argument("part", nargs="?", default=ALL, choices=(*PARTS, ALL))
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that all works")
    parser.add_argument("--trace", action="store_true", help="add a table of time by class of operations")
    parser.add_argument("--out", type=Path, default=Options.folder, help="folder for the results")
    flags, unknown = parser.parse_known_args(argv)
    overrides = {}
    for argument in unknown:
        path, equals, value = argument.removeprefix(OVERRIDE).partition("=")
        if not argument.startswith(OVERRIDE) or not equals:
            parser.error(f"unknown flag {argument}")
        overrides[path] = value
    return flags, Options(flags.quick, flags.trace, overrides=overrides, folder=flags.out)


def measure(part: str, options: Options) -> Path:
    """Runs one part or all, prints the tables, and writes the results; where."""
    tables: dict = {}
    for name in PARTS if part == ALL else (part,):
        tables |= PARTS[name](options)
    document = results.document(tables, quick=options.quick)
    print(results.text(document))
    device = jax.devices()[0].device_kind.replace(" ", "-").lower()
    path = options.folder / f"{part}-{device}{'-quick' if options.quick else ''}.json"
    results.save(path, document)
    print(f"\n{path}")
    return path
