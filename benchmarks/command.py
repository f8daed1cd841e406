"""The command line of `python -m benchmarks`."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax

from aloe.data.whole import write_whole
from aloe.errors import InputError, nearest
from benchmarks import attention, chart, checkpoint, compare, encode, input, readme, results, scaling, step
from benchmarks.options import Options
from benchmarks.paths import PATHS
from benchmarks.results import Measured, Row
from benchmarks.workloads import check_measured

PARTS: Mapping[str, Callable[[Options], Measured]] = {
    "attention": attention.run,
    "step": step.run,
    "input": input.run,
    "encode": encode.run,
    "checkpoint": checkpoint.run,
    "scaling": scaling.run,
}
ALL, COMPARE, SHOW, README = "all", "compare", "show", "readme"
FILES = {COMPARE: 2, SHOW: 1, README: 0}
OVERRIDE = "--config."


def main(argv: Sequence[str] | None = None) -> int:
    flags = parse(argv)
    try:
        if flags.part == COMPARE:
            print(compare.compared(*map(compare.read, flags.files)))
        elif flags.part == SHOW:
            print(results.text(compare.read(flags.files[0]), "github"))
        elif flags.part == README:
            write_whole(readme.README, readme.filled(readme.README.read_text()))
        else:
            measure(flags.part, options(flags), flags.out)
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", allow_abbrev=False)
    parser.add_argument("part", nargs="?", default=ALL, choices=(*PARTS, ALL, *FILES))
    parser.add_argument("files", nargs="*", type=Path, help="of compare: two results; of show: one")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that all works")
    parser.add_argument("--trace", action="store_true", help="add tables of time by class of operations")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"), help="folder for the results")
    parser.add_argument("--paths", default="", help=f"of attention, with commas between: {', '.join(PATHS)}")
    parser.add_argument("--lengths", default="", help="tokens of the attention part, with commas between")
    parser.add_argument("--task", default=Options.task, help="whose step, input and checkpoints are measured")
    parser.add_argument("--variant", default=Options.variant, help="of the task's configurations")
    parser.epilog = "--config.path.to.field=value overrides a field of the configuration."
    flags, unknown = parser.parse_known_args(argv)
    flags.overrides = {}
    for argument in unknown:
        path, equals, value = argument.removeprefix(OVERRIDE).partition("=")
        if not argument.startswith(OVERRIDE) or not equals:
            known = [option for action in parser._actions for option in action.option_strings]
            parser.error(f"unknown flag {argument}{nearest(argument.partition('=')[0], known)}")
        flags.overrides[path] = value
    if len(flags.files) != FILES.get(flags.part, 0):
        parser.error(f"{flags.part} takes {FILES.get(flags.part, 0)} files, not {len(flags.files)}")
    return flags


def options(flags: argparse.Namespace) -> Options:
    """Raises InputError on a path, a length or a task that is none."""
    paths = [name for name in flags.paths.split(",") if name]
    for name in paths:
        if name not in PATHS:
            raise InputError(f"--paths={name}: no such path{nearest(name, PATHS)}")
    lengths = [int(text) for text in flags.lengths.split(",") if text.isdigit()]
    known = {str(size[0]): None for size in (attention.QUICK_SIZES if flags.quick else attention.SIZES)}
    for text in filter(None, flags.lengths.split(",")):
        if text not in known:
            raise InputError(f"--lengths={text}: not measured; there are: {', '.join(known)}.")
    check_measured(flags.task)
    return Options(flags.quick, flags.trace, paths, lengths, flags.task, flags.variant, flags.overrides)


def measure(part: str, options: Options, folder: Path) -> None:
    """Runs one part or all; prints the tables at the end, and writes results as they come, and attention's picture."""
    device = jax.devices()[0].device_kind.replace(" ", "-").lower()
    words = [part, options.task, device, "quick"]
    if options.task == Options.task:
        words.remove(options.task)
    path = folder / f"{'-'.join(words if options.quick else words[:-1])}.json"
    tables: dict[str, list[Row]] = {}
    for name in PARTS if part == ALL else (part,):
        print(f"Measuring {name} …", file=sys.stderr, flush=True)
        for title, row in PARTS[name](options):
            tables.setdefault(title, []).append(row)
            results.save(path, results.document(tables, quick=options.quick))
    document = results.document(tables, quick=options.quick)
    print(results.text(document))
    print(f"\n{path}")
    if attention.TABLE in tables:
        picture = path.with_suffix(".png")
        chart.draw_attention(document, document["tables"][attention.TABLE], picture)
        print(picture)
