"""What a run writes for people and programs: metrics (JSONL and TensorBoard) and events. Only process 0 writes."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from etils import epath

from aloe.training import growing, workdir
from aloe.training.tensorboard import TensorBoard

VALIDATION = "validation/"  # prefix of the names of scores among the metrics
DIAGNOSIS = "diagnosis/"  # prefix of an evaluation's other numbers


class RunLog:
    """Metrics and events of a run; with `write=False` (all processes but one) every call does nothing."""

    def __init__(self, folder: epath.Path, first_step: int, *, write: bool) -> None:
        """Opens the logs to continue after `first_step` steps.

        A killed run may have logged steps after its last checkpoint, which will now be repeated. They are dropped here,
        so that metrics.jsonl has each step once, and TensorBoard is told to purge them.
        """
        self.write = write
        self.recorded: set[tuple[int, str]] = set()
        if not write:
            return
        metrics = folder / workdir.METRICS
        # A finished run that is started again evaluates its last step once more.
        self.recorded = {
            (first_step, name) for record in read_metrics(metrics) if record["step"] == first_step for name in record
        }
        self.metrics_file = growing.go_on(metrics, keep=lambda line: _step(line) <= first_step)
        self.events_file = growing.go_on(folder / workdir.EVENTS)
        self.tensorboard = TensorBoard(folder / workdir.TENSORBOARD, purge_step=first_step + 1)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Records scalars after `step` steps, except those already recorded."""
        values = {name: value for name, value in values.items() if (step, name) not in self.recorded}
        if not self.write or not values:
            return
        self.metrics_file.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            self.tensorboard.scalar(name, value, step)
        self.tensorboard.flush()

    def pictures(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Records pictures, image_YxXx3 in uint8, in TensorBoard only."""
        if self.write:
            for name, image_YxXx3 in images.items():
                self.tensorboard.image(name, image_YxXx3, step)

    def event(self, kind: str, **fields: Any) -> None:
        """Appends an event with the current time (seconds since 1970)."""
        if self.write:
            self.events_file.write(json.dumps({"event": kind, "time": time.time(), **fields}) + "\n")

    def close(self) -> None:
        if self.write:
            self.tensorboard.close()
            self.metrics_file.close()
            self.events_file.close()


def read_metrics(path: epath.Path) -> Iterator[dict[str, float]]:
    """The records of metrics.jsonl, each with its `step`; skips a line that a crash truncated."""
    for line in growing.read_lines(path):
        with contextlib.suppress(json.JSONDecodeError):
            yield json.loads(line)


def read_events(folder: epath.Path) -> Iterator[dict[str, Any]]:
    """The events of the run in a workdir, over all its restarts; none if it has not begun."""
    yield from read_metrics(folder / workdir.EVENTS)


def _step(line: str) -> float:
    """The step of a line of metrics.jsonl; infinity if a crash has truncated the line."""
    try:
        return json.loads(line)["step"]
    except json.JSONDecodeError:
        return float("inf")
