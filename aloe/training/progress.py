"""What a person sees of a run while it is training: losses, speed and time left."""

import datetime
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aloe.training.task import Parts


class Progress:
    """Accumulates the parts of the steps since the last report, and prints one line per report."""

    def __init__(
        self,
        loss_weights: Mapping[str, float],
        *,
        first_step: int,
        last_step: int,
        examples_per_step: int,
        show: bool,
    ) -> None:
        self.loss_weights = loss_weights
        self.first_step = first_step
        self.last_step = last_step
        self.examples_per_step = examples_per_step
        self.show = show
        self.reported_step = first_step
        self.reported_time = time.monotonic()
        self.waited = 0.0
        self.parts: Parts = {}

    def add(self, parts: Parts) -> None:
        """Adds the parts of one more step, already on the host."""
        self.parts = {name: self.parts[name].merge(part) if self.parts else part for name, part in parts.items()}

    def wait(self, batches: Iterator[Any]) -> Any:
        """The next batch; time spent waiting for it is reported as `input_share`, a fraction of the elapsed time."""
        started = time.monotonic()
        batch = next(batches)
        self.waited += time.monotonic() - started
        return batch

    def report(self, step: int) -> dict[str, float]:
        """Means since the last report, with steps and examples per second; prints them as one line."""
        means = {name: float(part.total / part.count) for name, part in self.parts.items()}
        loss = sum(weight * means[name] for name, weight in self.loss_weights.items())
        values = {"loss": loss} | {name: means.pop(name) for name in self.loss_weights} | means
        now = time.monotonic()
        steps_per_second = (step - self.reported_step) / (now - self.reported_time)
        speed = {
            "steps_per_second": steps_per_second,
            "examples_per_second": steps_per_second * self.examples_per_step,
            "input_share": self.waited / (now - self.reported_time),
        }
        left = datetime.timedelta(seconds=round((self.last_step - step) / steps_per_second))
        losses = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        self.say(f"step {step}/{self.last_step}  {losses}  {speed['examples_per_second']:.0f} examples/s  {left} left")
        self.parts, self.reported_step, self.reported_time, self.waited = {}, step, now, 0.0
        return values | speed

    def show_start(self, hosts: int, devices: int) -> None:
        """Prints the starting step, ahead of the silence while the first step compiles."""
        if self.first_step < self.last_step:
            where = f"{hosts} host{'s' * (hosts > 1)}, {devices} device{'s' * (devices > 1)}"
            self.say(f"step {self.first_step}/{self.last_step}  {where}; compiling the step")

    def show_compiled(self, seconds: float) -> None:
        """Prints how long compilation took, and excludes it from the speed."""
        self.say(f"step {self.first_step}/{self.last_step}  compiled in {seconds:.0f} s")
        self.reported_time += seconds

    def show_scores(self, step: int, scores: Mapping[str, float], seconds: float, alarms: Sequence[str] = ()) -> None:
        """Prints the scores and alarms of an evaluation, and excludes its duration from the speed."""
        self.say(f"step {step}/{self.last_step}  validation  " + "  ".join(f"{n} {v:.1f} %" for n, v in scores.items()))
        for alarm in alarms:
            self.say(f"step {step}/{self.last_step}  alarm: {alarm}")
        self.reported_time += seconds

    def say(self, line: str) -> None:
        if self.show:
            print(line, flush=True)
