"""The command line of `python -m benchmarks`."""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import jax

from aloe.data.whole import write_whole
from aloe.errors import InputError, nearest
from benchmarks import attention, chart, checkpoint, compare, entry, input, perception, readme, results, scaling, step
from benchmarks.options import Options
from benchmarks.paths import PATHS
from benchmarks.results import Measured, Row
from benchmarks.workloads import check_measured

PARTS: Mapping[str, Callable[[Options], Measured]] = {
    "attention": attention.run,
    "step": step.run,
    "input": input.run,
    "perception": perception.run,
    "checkpoint": checkpoint.run,
    "scaling": scaling.run,
}
ALL, COMPARE, SHOW, README = "all", "compare", "show", "readme"
FILES = {COMPARE: 2, SHOW: 1, README: 0}
CONFIG = "config"
OVERRIDE = f"--{CONFIG}."
OF_ALL_PARTS, OF_A_RUN = ("quick", "out"), ("task", "variant", CONFIG)
FLAGS: Mapping[str, Collection[str]] = {  # used by a part in addition to those of all parts
    "attention": ("paths", "lengths", "trace"),
    "step": ("paths", "trace", *OF_A_RUN),
    "input": OF_A_RUN,
    "perception": ("trace",),
    "checkpoint": OF_A_RUN,
    "scaling": OF_A_RUN,
}
OUT = Path("runs/benchmarks")


def main(argv: Sequence[str] | None = None) -> int:
    flags = parse(argv)
    return entry.ended(lambda: run(flags))


def run(flags: argparse.Namespace) -> None:
    """Does what the flags ask for. Raises InputError if that is impossible."""
    check_flags(flags)
    if flags.part == COMPARE:
        print(compare.compared(*map(compare.read, flags.files)))
    elif flags.part == SHOW:
        print(results.text(compare.read(flags.files[0]), "github"))
    elif flags.part == README:
        for page in readme.pages():
            write_whole(page, readme.filled(page.read_text(), name=str(page.relative_to(readme.ROOT))))
    else:
        measure(flags.part, options(flags), getattr(flags, "out", OUT))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    # Flags that are not given are no attributes, so that `check_flags` can tell which were.
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", allow_abbrev=False, argument_default=argparse.SUPPRESS
    )
    parser.add_argument("part", nargs="?", default=ALL, choices=(*PARTS, ALL, *FILES))
    parser.add_argument("files", nargs="*", type=Path, default=[], help="results: two for compare, one for show")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that everything works")
    parser.add_argument("--out", type=Path, help=f"folder for the results; default: {OUT}")
    parser.add_argument("--trace", action="store_true", help=f"add tables of time by class of operation: {of('trace')}")
    parser.add_argument("--paths", help=f"of attention, comma-separated ({', '.join(PATHS)}): {of('paths')}")
    parser.add_argument("--lengths", help=f"in tokens, comma-separated: {of('lengths')}")
    parser.add_argument("--task", help=f"whose configuration is measured: {of('task')}")
    parser.add_argument("--variant", help=f"of the task's configurations: {of('variant')}")
    parser.epilog = f"{OVERRIDE}path.to.field=value overrides a field of the configuration: {of(CONFIG)}."
    flags, unknown = parser.parse_known_args(argv)
    for argument in unknown:
        path, equals, value = argument.removeprefix(OVERRIDE).partition("=")
        if not argument.startswith(OVERRIDE) or not equals:
            known = [option for action in parser._actions for option in action.option_strings]
            parser.error(f"unknown flag {argument}{nearest(argument.partition('=')[0], known)}")
        flags.config = {**getattr(flags, CONFIG, {}), path: value}
    if len(flags.files) != FILES.get(flags.part, 0):
        parser.error(f"{flags.part} takes {FILES.get(flags.part, 0)} files, not {len(flags.files)}")
    return flags


def of(flag: str) -> str:
    """The parts that use a flag, comma-separated."""
    return ", ".join(part for part in PARTS if flag in heeded(part))


def heeded(part: str) -> Collection[str]:
    """The flags that a part uses; "all" passes each flag to the parts that use it."""
    if part == ALL:
        return {flag for each in PARTS for flag in heeded(each)}
    return (*OF_ALL_PARTS, *FLAGS[part]) if part in PARTS else ()


def check_flags(flags: argparse.Namespace) -> None:
    """Raises InputError on a flag that the part does not use."""
    for flag in sorted(vars(flags).keys() - {"part", "files"} - set(heeded(flags.part))):
        name = f"{OVERRIDE}…" if flag == CONFIG else f"--{flag}"
        raise InputError(f"{name}: nothing that {flags.part} does depends on it, but: {of(flag)}. Leave it out.")


def options(flags: argparse.Namespace) -> Options:
    """The options that the flags give. Raises InputError on an unknown path, length or task."""
    given = {name: value for name, value in vars(flags).items() if name not in ("part", "files", "out")}
    given["overrides"] = given.pop(CONFIG, {})
    given["paths"] = [name for name in given.get("paths", "").split(",") if name]
    for name in given["paths"]:
        if name not in PATHS:
            raise InputError(f"--paths={name}: no such path{nearest(name, PATHS)}")
    lengths = [text for text in given.get("lengths", "").split(",") if text]
    sizes = attention.QUICK_SIZES if given.get("quick") else attention.SIZES
    known = {str(size[0]): None for size in sizes}
    for text in lengths:
        if text not in known:
            raise InputError(f"--lengths={text}: not measured; there are: {', '.join(known)}.")
    given["lengths"] = [int(text) for text in lengths]
    found = Options(**given)
    check_measured(found.task)
    return found


def measure(part: str, options: Options, folder: Path) -> None:
    """Runs one part or all; writes results as they come in, and in the end prints the tables and plots attention."""
    results.check_folder(folder)
    results.commit()  # cached: that of the running code, even if files change meanwhile
    words = [part, *options.words, jax.devices()[0].device_kind.replace(" ", "-").lower()]
    path = folder / f"{'-'.join([*words, 'quick'] if options.quick else words)}.json"
    tables: dict[str, list[Row]] = {}
    for name in PARTS if part == ALL else (part,):
        print(f"Measuring {name} …", file=sys.stderr, flush=True)
        of_run = options.case if CONFIG in FLAGS[name] else {}
        for title, row in PARTS[name](options):
            tables.setdefault(title, []).append(dataclasses.replace(row, case={**row.case, **of_run}))
            results.save(path, results.document(tables, quick=options.quick))
    document = results.document(tables, quick=options.quick)
    print(results.text(document))
    print(f"\n{path}")
    drawn = [row for row in document["tables"].get(attention.TABLE, []) if "seconds" in row]
    if drawn:
        picture = path.with_suffix(".png")
        chart.draw_attention(document, drawn, picture)
        print(picture)
