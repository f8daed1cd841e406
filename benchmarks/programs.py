"""Compiled programs: what the compiler reports about them, and the largest batch that fits the device."""

import dataclasses
from collections.abc import Callable

import jax

from benchmarks import traffic
from benchmarks.devices import memory_limit

SHARE_OF_MEMORY = 0.85
SHARE_IN_PIECES = 0.5


@dataclasses.dataclass(frozen=True)
class Cost:
    """What the compiler reports about a program on one device, in bytes and operations.

    Attributes:
      temporary_bytes: for intermediate values.
      total_bytes: including arguments and results, with aliased buffers counted once.
      flops: operations, including elementwise ones; the body of a loop is counted once.
    """

    temporary_bytes: int
    total_bytes: int
    flops: float | None


def cost(compiled: jax.stages.Compiled) -> Cost:
    memory = compiled.memory_analysis()
    assert memory is not None, "every backend of JAX tells the memory of its programs"
    arguments_and_results = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    analysis = compiled.cost_analysis() or {}
    return Cost(
        memory.temp_size_in_bytes,
        memory.temp_size_in_bytes + arguments_and_results,
        analysis.get("flops"),
    )


def said(compiled: jax.stages.Compiled) -> dict[str, float | int | str | None]:
    """The same as figures of a row, without the operations but with the bytes read and written."""
    found = cost(compiled)
    return {
        "accessed_bytes": accessed_bytes(compiled),
        "temporary_bytes": found.temporary_bytes,
        "total_bytes": found.total_bytes,
    }


def accessed_bytes(compiled: jax.stages.Compiled) -> float | None:
    """Bytes of memory read and written; None if neither the compiler nor `benchmarks.traffic` can tell."""
    text = compiled.as_text() or ""
    if traffic.called(text):
        return traffic.accessed_bytes(text)
    return (compiled.cost_analysis() or {}).get("bytes accessed")


def not_fitting(error: MemoryError) -> dict[str, str]:
    """The figures of a row for a case that does not fit."""
    return {"not measured": str(error)}


def largest_that_fits(
    compile_for: Callable[[int], jax.stages.Compiled], largest: int, limit: int
) -> tuple[int, jax.stages.Compiled]:
    """Halves a size until its program fits into `limit` bytes; returns the size and the program.

    A program's memory grows at most in proportion to its size, so that some sizes need not be compiled.

    Raises:
      MemoryError: not even size 1 fits.
    """
    size, most = largest, float(largest)
    while size:
        if size <= most:
            try:
                compiled = compile_for(size)
            except jax.errors.JaxRuntimeError as error:
                if not str(error).startswith("RESOURCE_EXHAUSTED"):  # a TPU's compiler detects it itself
                    raise
            else:
                bytes_taken = cost(compiled).total_bytes
                if bytes_taken <= limit:
                    return size, compiled
                most = size * limit / bytes_taken
        size //= 2
    raise MemoryError(f"not even the smallest batch fits {limit / 2**30:.1f} GiB")


def room(device: jax.Device) -> int:
    """Bytes of a device that a benchmark's program may use; the rest is for what else resides there."""
    return int(SHARE_OF_MEMORY * memory_limit(device))


def room_in_pieces(device: jax.Device) -> int:
    """The same after other cases of a part, whose memory is free but fragmented."""
    return int(SHARE_IN_PIECES * room(device))
