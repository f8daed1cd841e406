"""The queue on a Ray cluster: an emulated slice, real JAX processes, and a driver that is killed."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cluster import attempt
from cluster.emulated import EmulatedSlice
from cluster.ledger import Ledger, Request
from cluster.outcomes import Ending, Spent
from cluster.policy import Place
from cluster.slices import slice_named
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
V2_8 = slice_named("v2-8")
STEPS = 60
DRIVER = """
import sys
from pathlib import Path
from cluster import gang, placement
from cluster.driver import drive
from cluster.ledger import Ledger
from cluster.outcomes import Budgets

assert gang.connect()
with Ledger(Path(sys.argv[1])) as ledger:
    sys.exit(drive(ledger, placement.places, budgets=Budgets(first_pause=1.0)))
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def emulated():
    with EmulatedSlice(V2_8, port=None) as emulated:
        yield emulated


@pytest.fixture
def start_driver(emulated, tmp_path):
    drivers = []

    def start():
        environment = os.environ | {"RAY_ADDRESS": emulated.address, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", DRIVER, str(tmp_path / "queue")]
        with (tmp_path / f"driver{len(drivers)}.txt").open("w") as output:
            drivers.append(subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=tmp_path))
        return drivers[-1]

    yield start
    for driver in drivers:
        driver.kill()
        driver.wait()


def lines(path):
    return path.read_text().split() if path.exists() else []


def test_a_driver_is_killed_a_process_is_killed_a_run_is_cancelled_and_nothing_runs_twice(tmp_path, start_driver):
    programs = "tests.cluster.programs"
    trails = {name: tmp_path / f"{name}.trail" for name in ("first", "second", "third")}
    counts = {name: {"to": STEPS, "first_stays_at": 5} for name in ("first", "second")} | {"third": {"to": 10**6}}
    with Ledger(tmp_path / "queue") as ledger:
        ledger.add(
            [Request("bad", f"{programs}:end_somehow", {"how": "raise"}, ("v2-8",))]
            + [
                Request(name, f"{programs}:count_up", {"trail": str(trail)} | counts[name], ("v2-8",))
                for name, trail in trails.items()
            ]
        )
    driver = start_driver()
    wait_for(lambda: len(lines(trails["first"])) >= 3, 120)
    driver.kill()
    driver.wait()

    driver = start_driver()
    wait_for(lambda: len(lines(trails["second"])) >= 3, 120)
    psutil.Process(int(lines(trails["second"])[-1])).kill()
    wait_for(lambda: len(lines(trails["third"])) >= 3, 120)
    with Ledger(tmp_path / "queue") as ledger:
        ledger.cancel("third")
    assert driver.wait(120) == 0, (tmp_path / "driver1.txt").read_text()

    with Ledger(tmp_path / "queue") as ledger:
        ended = {run.name: (run.state, run.spent) for run in ledger.runs()}
        attempts = {run.name: [attempt.ending for attempt in ledger.attempts(run.name)] for run in ledger.runs()}
        assert ledger.value("first") == {"stopped": False, "step": STEPS}
        assert ledger.run("bad").message == "FloatingPointError: step 3: loss not finite"
    assert ended == {
        "bad": ("failed", Spent(0, 1)),
        "first": ("succeeded", Spent()),
        "second": ("succeeded", Spent(0, 1)),
        "third": ("cancelled", Spent()),
    }
    assert attempts == {
        "bad": ["failed"],
        "first": ["released", "succeeded"],
        "second": ["failed", "succeeded"],
        "third": ["cancelled"],
    }
    # Each step was taken once, and no process wrote after another one had begun.
    assert len(lines(trails["first"])) == len(lines(trails["second"])) == STEPS
    for name, processes in (("first", 2), ("second", 2), ("third", 1)):
        assert len(list(itertools.groupby(lines(trails[name])))) == processes
    assert "(host 0" in (tmp_path / "queue" / "attempts" / "second" / "2" / attempt.LOG).read_text()


def test_a_slice_that_is_gone_when_its_run_begins_is_a_preemption(emulated, tmp_path):
    place = Place("another", "v2-8", (("RAY_ADDRESS", emulated.address),))
    process = attempt.start(tmp_path / "a", "tests.cluster.programs:end_somehow", {"how": "return"}, place)
    wait_for(lambda: process.poll() is not None, 120)
    ended = process.poll()
    assert ended.ending == Ending.PREEMPTED
    assert "no whole v2-8 (1 host, 4 chips, 8 devices) called another" in ended.message
