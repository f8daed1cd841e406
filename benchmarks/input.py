"""The input: examples per second that Grain delivers from a store of CLEVRER's size, and how long a step waits."""

import contextlib
import dataclasses
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import jax
from ml_collections import ConfigDict

from aloe.data.streams import host_batches
from aloe.progress_bar import progress_bar
from aloe.training.evaluation import global_batch
from benchmarks.options import Options
from benchmarks.results import Measured, Row
from benchmarks.timing import seconds, summary
from benchmarks.training import Run, make_run, with_data

TABLE = "input"
VIDEOS, QUICK_VIDEOS = 10_000, 16  # CLEVRER's training split has 10,000
PACED_FIRST, BATCHES = 20, 30  # at the pace of steps: before timing starts, and while timing
REPEATS = 5  # runs of BATCHES batches as fast as it goes
PREFETCH = 4  # batches that a worker reads ahead; the thread that it hands them to holds as many
READ_AHEAD = 2 * PREFETCH
WAITS = 0.01  # share of the time above which a device counts as waiting
STEP_SECONDS = (0.06, 0.12, 0.16)  # per batch on a device; the last is CLEVRER's on an H200


def run(options: Options) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        videos = QUICK_VIDEOS if options.quick else VIDEOS
        config = with_data(options.config(), Path(folder), videos)
        yield from ((TABLE, row) for row in rows(config, videos, options))


def rows(config: ConfigDict, videos: int, options: Options) -> Iterator[Row]:
    """For a thread of this process, then 1, 4, 16 … worker processes: as fast as it goes, then at the pace of steps."""
    made = make_run(config, jax.local_devices()[:1])
    most = 1 if options.quick else os.cpu_count() or 1
    for workers in progress_bar(
        [0, *(4**power for power in range(1 + int(math.log(most, 4))))], "input", unit="setting"
    ):
        yield from measured(made, videos, workers, options.quick)


def measured(made: Run, videos: int, workers: int, quick: bool) -> Iterator[Row]:
    """Times how long each batch takes to reach the device, back to back and at the pace of steps.

    As in the training loop, the batch of a step is fetched while the previous step runs, and the device waits only if
    that takes longer than the step. The step is simulated by the host sleeping: no device computes.
    """
    paced_first, batches, repeats = (1, 3, 1) if quick else (PACED_FIRST, BATCHES, REPEATS)
    streams = made.task.streams()
    supply = host_batches(streams, first_step=0, host=0, hosts=1, workers=workers, prefetch=PREFETCH)

    def one() -> None:
        jax.block_until_ready(global_batch(next(supply), made.mesh))

    examples = sum(stream.batch_size for stream in streams.values())
    case: dict[str, str | int] = {"videos": videos, "examples": examples, "workers": workers}
    with contextlib.closing(supply):
        first = {"first batch_seconds": seconds(one)}
        paced(one, 0.0, warming(videos, [stream.batch_size for stream in streams.values()], workers))
        runs = [paced(one, 0.0, batches) for _ in range(repeats)]
        rates = [run.rate(examples) for run in runs]
        at_pace: dict[str, Paced] = {}
        for step in STEP_SECONDS[:1] if quick else STEP_SECONDS:
            paced(one, step, paced_first)  # so that the read-ahead is as in the middle of a run
            at_pace[f"a step of {1e3 * step:.0f} ms"] = paced(one, step, batches)

    fastest: dict[str, float | str | None] = {"examples_per_second": statistics.median(rates)}
    doubt = contradicting(rates, examples, at_pace)
    if doubt:
        fastest["contradicted by"] = ", ".join(doubt)
    each = [run.whole / batches for run in runs]  # the mean: some fetches wait, and others find a batch read ahead
    yield Row(case | {"pace": "as fast as it goes"}, summary(each), figures=first | fastest)
    for pace, run in at_pace.items():
        figures = {"waiting_share": run.idle / run.whole, "taken examples_per_second": run.rate(examples)}
        yield Row(case | {"pace": pace}, summary(run.fetches), figures=first | figures)


def warming(videos: int, batch_sizes: Sequence[int], workers: int) -> int:
    """Batches to read first: an example of every video by the smallest stream, and at least twice the read-ahead."""
    return max(math.ceil(videos / min(batch_sizes)), 2 * READ_AHEAD * max(1, workers))


def contradicting(rates: Sequence[float], examples: int, at_pace: Mapping[str, "Paced"]) -> list[str]:
    """The paces that contradict the rates (examples per second) measured as fast as it goes: one of the two is wrong.

    Either more were consumed than were ever delivered, or steps waited although delivery always exceeded their demand.
    """
    return [
        pace
        for pace, run in at_pace.items()
        if run.rate(examples) > max(rates) or (run.idle > WAITS * run.whole and run.wanted(examples) < min(rates))
    ]


@dataclasses.dataclass(frozen=True)
class Paced:
    """Batches fetched at the pace of steps.

    Attributes:
      fetches: seconds of each fetch.
      idle: seconds that a device would have waited for them.
      whole: seconds of the steps and of the waiting.
    """

    fetches: list[float]
    idle: float
    whole: float

    def rate(self, examples: int) -> float:
        """Examples per second, given those per batch."""
        return examples * len(self.fetches) / self.whole

    def wanted(self, examples: int) -> float:
        """The same if there had been no waiting."""
        return examples * len(self.fetches) / (self.whole - self.idle)


def paced(fetch: Callable[[], None], step: float, batches: int) -> Paced:
    """Fetches batches, the first while a step runs, and each further one while the step on the previous one runs.

    Args:
      fetch: fetches one.
      step: seconds of a step.
      batches: how many, and for how many steps.
    """
    fetches = []
    idle = 0.0
    done = time.perf_counter() + step  # when the device finishes the last step dispatched
    for _ in range(batches):
        fetches.append(seconds(fetch))
        before, now = done, time.perf_counter()
        idle += max(0.0, now - before)
        done = max(now, before) + step
        time.sleep(max(0.0, before - now))  # the loop reads the metrics of the previous step
    return Paced(fetches, idle, idle + batches * step)
