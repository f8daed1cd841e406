"""An emulated pod, a small training run on it, and how it ends undisturbed."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import pytest

from aloe import config
from aloe.training import workdir
from aloe.training.checkpoints import Checkpoints
from aloe.training.optimizer import lamb
from aloe.training.state import abstract_state
from aloe.training.step import data_mesh
from cluster import gang, supervisor
from cluster.emulated import EmulatedSlice
from cluster.outcomes import Budgets
from cluster.process import Timeouts
from cluster.slices import slice_named
from tests.training.toy import Toy
from tests.waiting import wait_for

V2_8, V2_32 = slice_named("v2-8"), slice_named("v2-32")
POD = "emulated-v2-32"
STEPS = 60
ENTRY = "tests.faults.program:train"
BUDGETS = Budgets(preemptions=3, failures=2, first_pause=1.0)
TIMEOUTS = Timeouts()


@pytest.fixture(scope="module")
def pod():
    with EmulatedSlice(V2_32, port=None, environment={"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}) as emulated:
        assert gang.connect(emulated.address)
        yield emulated


class Run:
    """A run of STEPS steps in its own folder, and what its files say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.began = 0.0
        overrides = {
            "optimizer.warmup_steps": "2",
            "optimizer.decay_steps": str(STEPS),
            "optimizer.learning_rate": "0.2",
        }
        self.config = config.resolve("clevrer", "quickstart", overrides)
        self.config.workdir = str(folder)
        self.config.training.update(
            steps=STEPS, log_every=5, evaluate_every=STEPS, checkpoint_every_steps=10, checkpoint_every_minutes=60.0
        )
        self.config.batch.evaluation = 8

    def ends(self, kind=None, *, rank=0, step=25, once=True, kinds=(V2_32,), budgets=BUDGETS, env=None):
        """Runs it, with a fault if `kind` is given, to its final outcome, which is returned."""
        fault = kind and {"kind": kind, "rank": rank, "step": step, "once": once}
        asked = {"run": self.config.to_dict(), "fault": fault}
        self.began = time.time()
        return supervisor.keep_running(ENTRY, asked, kinds, budgets=budgets, timeouts=TIMEOUTS, env=env)

    def ends_although(self, strike, *, rank=0, **options):
        """Runs it and calls `strike` once this rank waits for it at a step; returns the outcome.

        The run gets a thread of its own, because nodes end with the thread that starts them.
        """
        with ThreadPoolExecutor(1) as thread:
            outcome = thread.submit(self.ends, "lost", rank=rank, **options)
            wait_for((self.folder / "struck").exists, 120)
            strike()
            return outcome.result(timeout=180)

    def events(self, kind):
        path = self.folder / workdir.EVENTS
        lines = path.read_text().splitlines() if path.exists() else []
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def starts(self):
        """The step of every start."""
        return [event["step"] for event in self.events("start")]

    def first_logged(self, attempt):
        """When an attempt, counted from 0, logged its first steps."""
        began = self.events("start")[attempt]["time"]
        return min(event["time"] for event in self.events("times") if event["time"] > began)

    def back_in_time(self, undisturbed):
        """Whether it was back soon after the fault, given how long this machine takes to start the undisturbed run.

        Noticing a fault takes up to 20 seconds on any machine, and no driver waits for JAX's 300 s or Orbax's 600.
        """
        back = self.first_logged(1) - (self.folder / "struck").stat().st_mtime
        start = undisturbed.first_logged(0) - undisturbed.began
        print(f"back {back:.0f} s after the fault; the undisturbed run took its first steps after {start:.0f} s")
        return back < 25 + 3 * start

    def at_step(self, step, within=120):
        """Waits until it has logged that step, and has a complete checkpoint no more than ten steps older."""
        wait_for(lambda: any(event["step"] >= step for event in self.events("times")), within)
        wait_for((self.folder / workdir.CHECKPOINTS / str(step // 10 * 10)).exists, within)

    def state(self):
        """The state in the latest checkpoint."""
        checkpoints = Checkpoints(self.folder / workdir.CHECKPOINTS, data_mesh(), self.config.training, read_only=True)
        try:
            return jax.device_get(checkpoints.restore(abstract_state(Toy(), lamb(self.config.optimizer))))
        finally:
            checkpoints.close()

    def each_step_once(self):
        lines = [json.loads(line) for line in (self.folder / workdir.METRICS).read_text().splitlines()]
        steps = [line["step"] for line in lines if "loss" in line]
        return steps == list(range(5, STEPS + 1, 5))


@pytest.fixture
def training(pod, tmp_path):
    """A run on a whole pod, whatever the test before this one in its process has done to it."""
    for worker_id in pod.lost(POD):
        pod.replace(POD, worker_id)
    return Run(tmp_path / "run")


@pytest.fixture(scope="module")
def undisturbed(pod, tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("undisturbed") / "run")
    outcome = run.ends()
    assert outcome.status == "succeeded", outcome
    assert outcome.value["step"] == STEPS
    return run


def same_bits(one, other):
    jax.tree.map(np.testing.assert_array_equal, one.state(), other.state())
