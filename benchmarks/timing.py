"""Wall-clock times of whole calls, by the host's clock, including the wait for the result."""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

LEAST_SECONDS = 0.02


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds per call over `repeats` measurements, each the mean of `calls` back-to-back calls."""

    median: float
    min: float
    max: float
    repeats: int
    calls: int = 1


def measure(
    call: Callable[[], Any],
    *,
    repeats: int = 5,
    least_seconds: float = LEAST_SECONDS,
    wait: Callable[[Any], Any] = jax.block_until_ready,
) -> Timing:
    """Times `call()` after two warm-up calls.

    Args:
      call: dispatches the work.
      repeats: number of measurements.
      least_seconds: minimum duration of a measurement; short calls are dispatched several times before the wait, so
        that the cost of the wait itself does not count. 0 for one call at a time.
      wait: given the last result, returns once all work is done.
    """
    wait(call())
    once = seconds(lambda: wait(call()))
    calls = max(1, math.ceil(least_seconds / once))

    def several() -> None:
        for _ in range(calls):
            result = call()
        wait(result)

    return summary([seconds(several) / calls for _ in range(repeats)], calls)


def seconds(call: Callable[[], Any]) -> float:
    """How long one call took."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def summary(times: list[float], calls: int = 1) -> Timing:
    return Timing(statistics.median(times), min(times), max(times), len(times), calls)
