"""Checkpoints: how long a save blocks the loop and how long until it is complete, and how long a restore takes."""

import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax

from aloe.training.checkpoints import Checkpoints, byte_count
from benchmarks.options import Options
from benchmarks.results import Measured, Row
from benchmarks.timing import seconds, summary
from benchmarks.training import make_run, with_data

TABLE = "checkpoint"
EVERY = 60.0  # seconds between saves, for the share of the time that saving blocks


def run(options: Options) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        yield from ((TABLE, row) for row in rows(Path(folder), options))


def rows(folder: Path, options: Options) -> Iterator[Row]:
    run = make_run(with_data(options.config(), folder / "data"), jax.local_devices())
    state = jax.block_until_ready(run.fresh_state())
    checkpoints = Checkpoints(folder / "checkpoints", run.mesh, run.config.training)
    blocked: list[float] = []
    whole: list[float] = []
    restored: list[float] = []
    try:
        for step in range(1, options.repeats + 2):
            blocked.append(seconds(functools.partial(checkpoints.save, step, state)))
            whole.append(blocked[-1] + seconds(checkpoints.manager.wait_until_finished))
            restored.append(seconds(lambda: jax.block_until_ready(checkpoints.restore(run.state_shapes()))))
    finally:
        checkpoints.close()

    size = byte_count(state)
    for what, times in (("save, blocks", blocked), ("save, until whole", whole), ("restore", restored)):
        later = summary(times[1:])  # the first compiles the slicing of the state into shares
        figures = {"state_bytes": size, "first_seconds": times[0]}
        if times is blocked:
            figures["blocked of a minute_share"] = later.median / EVERY
        yield Row({"what": what, "devices": run.mesh.size}, later, figures=figures)
