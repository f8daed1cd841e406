"""What the text of a program compiled for TPUs tells: the compiler's time estimate, and what devices reduce together.

The TPU compiler writes beside each operation how many cycles it expects it to take. XLA's `cost_analysis` has no such
thing for a loop, whose body it counts once; here a body counts as often as it runs.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence

_COMPUTATION = re.compile(r"(?P<entry>ENTRY )?(?P<name>%[\w.\-]+) \(.*\{$")
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_WHILE = re.compile(r" while\(.*condition=(?P<condition>%[\w.\-]+), body=(?P<body>%[\w.\-]+)")
_LIMIT = re.compile(r" = [su]32\[\]\S* constant\((\d+)\)")
_ALL_REDUCE = re.compile(r" = (?P<result>.*?) all-reduce(-start)?\(")
_ARRAY = re.compile(r"\b(?:pred|[a-z]+(\d+)\w*)\[([\d,]*)\]")


def estimated_cycles(text: str) -> int:
    """Cycles of the entry computation. What has no estimate, reshapes above all, counts for nothing."""

    def cycles(line: str) -> int:
        found = _CYCLES.search(line)
        return int(found[1]) if found else 0

    return _total(text, cycles)


def all_reduced_bytes(text: str) -> int:
    """Bytes of the results of all reductions over devices."""

    def size(line: str) -> int:
        found = _ALL_REDUCE.search(line)
        return array_bytes(found["result"]) if found else 0

    return _total(text, size)


def array_bytes(types: str) -> int:
    """Of all arrays in the text of a type, such as `(bf16[3,2]{1,0}, pred[])`."""
    return sum(
        (int(bits or 8) + 7) // 8 * math.prod(map(int, filter(None, shape.split(","))))
        for bits, shape in _ARRAY.findall(types)
    )


def _total(text: str, of_line: Callable[[str], int]) -> int:
    """The sum over the lines of the entry computation, and of loops' bodies as often as they run."""
    entry, lines = computations(text)

    def total(name: str) -> int:
        amount = 0
        for line in lines[name]:
            amount += of_line(line)
            if loop := _WHILE.search(line):
                amount += _trips(lines[loop["condition"]]) * total(loop["body"])
        return amount

    return total(entry)


def computations(text: str) -> tuple[str, Mapping[str, Sequence[str]]]:
    """The name of the entry computation, and the lines of every computation by its name."""
    entry = ""
    lines: dict[str, list[str]] = {}
    for line in text.splitlines():
        if header := _COMPUTATION.match(line):
            lines[header["name"]] = current = []
            entry = header["name"] if header["entry"] else entry
        elif line.startswith("  "):
            current.append(line)
    return entry, lines


def _trips(condition: Sequence[str]) -> int:
    """How often a loop runs that counts from 0 up to a constant: what a scan becomes, and a reshape that is large."""
    limits = [int(found[1]) for line in condition if (found := _LIMIT.search(line))]
    if len(limits) != 1:
        raise ValueError(f"a loop's condition has not one limit but {limits}: it may run any number of times")
    return limits[0]
