"""Where the time of a compiled program goes: device time of its operations by class, from JAX's profiler."""

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from benchmarks.results import Row

CALLS = 3
OTHER = "elementwise"
# An operation's class is the first whose pattern matches in its names (of kernel, HLO and JAX).
CLASSES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        ("communication", r"all.?reduce|all.?gather|reduce.?scatter|collective.?permute|all.?to.?all|nccl"),
        ("kernels of attention", r"\battention_(forward|queries|keys|coefficients)"),
        ("other hand-written kernels", r"\b(feed_forward|residual)_(hidden|sum|gradient)|pallas|mosaic|\bmgpu"),
        ("matrix products", r"gemm|cublas|nvjet|cutlass|\bdot\b|dot_general|convolution|ynn_|cudnn"),
        ("random bits", r"threefry|random_bits|bernoulli|shift_right_logical|shift_left|\bxor|_xor_"),
        (
            "copies and reshapes",
            r"copy|memcpy|memset|transpose|reshape|\bpad|slice|concatenate|gather|scatter|(\b|loop_|wrapped_)broadcast(\b|_fusion)",
        ),
        ("sums and maxima", r"reduce"),
    )
)
_CONTAINERS = re.compile(r"^(while|call|conditional|end: )")  # their time is that of what they contain
_INSTRUCTION = re.compile(r'^\s+(?:ROOT )?%?(?P<name>[\w.\-]+) = .*?op_name="(?P<jax>[^"]*)"', re.MULTILINE)


def rows(case: Mapping[str, str | int], call: Callable[[], Any], compiled: jax.stages.Compiled) -> Iterator[Row]:
    """Time of one call by class of operation, the longest first.

    For a program that runs on several CPU threads, the sum can exceed the wall-clock time.

    Args:
      case: what is traced; each row adds the class to it.
      call: runs `compiled`, and has been called before.
    """
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(CALLS):
                jax.block_until_ready(call())
        found = list(Path(folder).rglob("*.xplane.pb"))
        times = by_class(jax.profiler.ProfileData.from_file(str(found[0])), jax_names(compiled.as_text() or ""))
    whole = sum(times.values())
    for name, nanoseconds in times.most_common():
        seconds = nanoseconds / 1e9 / CALLS
        yield Row({**case, "class": name}, figures={"time_ms": 1e3 * seconds, "time_share": nanoseconds / whole})


def by_class(profile: jax.profiler.ProfileData, names: Mapping[str, str]) -> Counter[str]:
    """Nanoseconds by class, over all operations in a profile. `names` maps HLO operations to JAX's names."""
    times: Counter[str] = Counter()
    for plane in profile.planes:
        for line in plane.lines:
            on_device = line.name.startswith(("Stream", "XLA Ops"))
            for event in line.events:
                operation = str(dict(event.stats).get("hlo_op", event.name if on_device else ""))
                if operation and not _CONTAINERS.match(event.name) and not _CONTAINERS.match(operation):
                    times[class_of(f"{event.name} {operation} {names.get(operation, '')}")] += int(event.duration_ns)
    return times


def class_of(names: str) -> str:
    return next((name for name, pattern in CLASSES if pattern.search(names)), OTHER)


def jax_names(text: str) -> dict[str, str]:
    """Maps the name of each HLO operation of a compiled program to the last part of the name that JAX gave it."""
    return {found["name"]: found["jax"].rpartition("/")[2] for found in _INSTRUCTION.finditer(text)}
