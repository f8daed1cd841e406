"""The input: examples a second that Grain delivers from a store of CLEVRER's size, and what a step waits for them."""

import contextlib
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
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
FILLED, BATCHES = 20, 30  # read before the clock starts, and then: 20 of the paper's read most videos once
STEP_SECONDS = (0.06, 0.12, 0.16)  # of a device with a batch; CLEVRER's on an H200 is the last


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
    """Times how long each batch takes to come onto the device, one after the other and at the pace of steps.

    As in the training loop, the batch of a step is fetched while the step before it runs, and the device waits only
    where that takes longer than the step.
    """
    filled, batches = (1, 3) if quick else (FILLED, BATCHES)
    supply = host_batches(made.task.streams(), first_step=0, host=0, hosts=1, workers=workers)

    def one() -> None:
        jax.block_until_ready(global_batch(next(supply), made.mesh))

    examples = sum(stream.batch_size for stream in made.task.streams().values())
    case: dict[str, str | int] = {"videos": videos, "examples": examples, "workers": workers}
    with contextlib.closing(supply):
        first = seconds(one)
        for step in (None, *(STEP_SECONDS[:1] if quick else STEP_SECONDS)):
            paced(one, step or 0.0, filled)  # what has been read ahead is then as in the middle of a run
            fetches, idle, whole = paced(one, step or 0.0, batches)
            pace = "as fast as it goes" if step is None else f"a step of {1e3 * step:.0f} ms"
            figures = {"first batch_seconds": first}
            if step is None:
                figures["examples_per_second"] = examples * batches / sum(fetches)
            else:
                figures["waiting_share"] = idle / whole
            yield Row(case | {"pace": pace}, summary(fetches), figures=figures)


def paced(fetch: Callable[[], None], step: float, batches: int) -> tuple[list[float], float, float]:
    """Seconds of each fetch, those that a device would be idle, and all, with steps of so many seconds."""
    fetches = []
    idle = 0.0
    started = done = time.perf_counter()  # when the device has done the step that was dispatched last
    for _ in range(batches):
        fetches.append(seconds(fetch))
        before, now = done, time.perf_counter()
        idle += max(0.0, now - before)
        done = max(now, before) + step
        time.sleep(max(0.0, before - now))  # the loop reads the metrics of the step before
    return fetches, idle, done - started
