"""How many bytes the operations of a compiled program read and write, from its text.

XLA's own analysis omits what it calls but does not compile: on a GPU cuBLAS products, cuDNN convolutions and
hand-written kernels, most of a step.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks import hlo

_CALLED = re.compile(r'custom_call_target="__(gpu\$xla|cublas|cudnn)')
_OPERATION = re.compile(
    r"^\s+(?:ROOT )?(%[\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*?)\)(?:.*?(?:calls|to_apply)=(%[\w.\-]+))?"
)
_NAME = re.compile(r"%[\w.\-]+")
_FREE = {"parameter", "constant", "get-tuple-element", "bitcast", "tuple", "after-all", "partition-id", "replica-id"}
_PARTS = {"slice", "dynamic-slice"}  # read no more than they return


class _Operation(NamedTuple):
    name: str
    result: str
    kind: str
    arguments: str
    inner: str | None  # the computation that it calls


def called(text: str) -> bool:
    """Whether the program calls anything that XLA's analysis omits."""
    return _CALLED.search(text) is not None


def accessed_bytes(text: str) -> int | None:
    """Bytes of the arguments and results of all operations after fusion; None for a program with a loop.

    If an operation takes only slices of an argument, only these count. Savings by caches are unknown.
    """
    entry, lines = hlo.computations(text)
    if any(" while(" in line for of_one in lines.values() for line in of_one):
        return None
    found = {
        name: [_Operation(*match.groups()) for match in map(_OPERATION.match, of_one) if match]
        for name, of_one in lines.items()
    }

    def of(computation: str) -> int:
        results = {each.name: each.result for each in found[computation]}
        total = 0
        for each in found[computation]:
            if each.kind == "call" and each.inner:
                total += of(each.inner)
            elif each.kind in _PARTS:
                total += 2 * hlo.array_bytes(each.result)
            elif each.kind not in _FREE and not each.kind.endswith("-done"):
                body = found.get(each.inner or "", []) if each.kind == "fusion" else []
                total += hlo.array_bytes(each.result)
                for number, name in enumerate(_NAME.findall(each.arguments)):
                    total += _read(body, number, hlo.array_bytes(results.get(name, "")))
        return total

    return of(entry)


def _read(body: Sequence[_Operation], number: int, whole: int) -> int:
    """Bytes that an operation reads of its argument `number`; `body`: that of a fusion, which may take only slices."""
    names = [each.name for each in body if each.kind == "parameter" and each.arguments == str(number)]
    users = [each for each in body if names and names[0] in _NAME.findall(each.arguments)]
    if not users or any(each.kind not in _PARTS for each in users):
        return whole
    return min(whole, sum(hlo.array_bytes(each.result) for each in users))
