"""Reads the text of a program compiled for TPUs: the compiler's time estimate, and the bytes of all-reduces.

The TPU compiler annotates each operation with the cycles it expects. XLA's `cost_analysis` has no such estimate for a
loop, whose body it counts once; here a body counts as often as it runs.
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
    """Cycles of the entry computation. Operations without an estimate, mainly reshapes, count as zero."""

    def cycles(line: str) -> int:
        found = _CYCLES.search(line)
        return int(found[1]) if found else 0

    return _total(text, cycles)


def all_reduced_bytes(text: str) -> int:
    """Bytes of the results of all `all-reduce` operations."""

    def size(line: str) -> int:
        found = _ALL_REDUCE.search(line)
        return array_bytes(found["result"]) if found else 0

    return _total(text, size)


def array_bytes(types: str) -> int:
    """Bytes of all arrays in the text of a type, such as `(bf16[3,2]{1,0}, pred[])`."""
    return sum(
        (int(bits or 8) + 7) // 8 * math.prod(map(int, filter(None, shape.split(","))))
        for bits, shape in _ARRAY.findall(types)
    )


def _total(text: str, of_line: Callable[[str], int]) -> int:
    """The sum over the lines of the entry computation, with loop bodies counted as often as they run."""
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
    """The name of the entry computation, and the lines of every computation by name."""
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
    """The trip count of a loop from 0 up to a constant, which is what scans and large reshapes become."""
    limits = [int(found[1]) for line in condition if (found := _LIMIT.search(line))]
    if len(limits) != 1:
        raise ValueError(f"a loop's condition has not one limit but {limits}: it may run any number of times")
    return limits[0]
