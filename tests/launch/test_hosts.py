"""The entry points on an emulated slice of four hosts: which host prints, what is scored, what hosts refuse."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aloe.training import workdir
from cluster.emulated import EmulatedSlice
from cluster.slices import slice_for_hosts
from tests.tasks.clevrer.encoded import flags, write_encoded

ROOT = Path(__file__).parents[2]
STEPS = 6
SETTINGS = flags({"training.steps": STEPS, "training.log_every": 2})

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_encoded(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def start():
    """Runs an entry point on the slice; returns the finished process."""
    environment = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # nearly all the time is compilation
    with EmulatedSlice(slice_for_hosts(4), devices_per_host=2, port=None, environment=environment) as emulated:

        def start(program, *argv):
            return subprocess.run(
                [sys.executable, ROOT / "launch" / program, "--task=clevrer", "--hosts=4", *argv],
                env=os.environ | {"PYTHONPATH": str(ROOT), "RAY_ADDRESS": emulated.address},
                capture_output=True,
                text=True,
                timeout=600,
            )

        yield start


@pytest.fixture(scope="module")
def on_four_hosts(world, start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("four") / "run"
    done = start("train.py", f"--data={world}", f"--workdir={folder}", *SETTINGS)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_one_host_speaks_for_all(on_four_hosts):
    reports = [line for line in on_four_hosts[1].splitlines() if f"step {STEPS}/{STEPS}  loss" in line]
    assert len(reports) == 1
    assert "host 0" in reports[0]


def test_scoring_on_the_slice_gives_the_scores_of_the_run(on_four_hosts, start):
    folder = on_four_hosts[0]
    done = start("evaluate.py", f"--workdir={folder}")
    assert done.returncode == 0, done.stderr
    assert f"clevrer, validation split, after {STEPS} steps" in done.stdout
    scored = json.loads((folder / f"validation-{STEPS}.json").read_text())
    logged = json.loads((folder / workdir.METRICS).read_text().splitlines()[-1])
    assert len(logged) == 1 + 7
    assert {"shuffled", "majority"} <= scored.pop("controls").keys()
    assert {name.removeprefix("validation/"): value for name, value in logged.items()} | {
        "split": "validation"
    } == scored


def test_what_only_the_hosts_can_find_wrong_is_said_once_and_nothing_is_written(world, start, tmp_path):
    """Only the hosts know how many devices there are."""
    done = start("train.py", f"--data={world}", f"--workdir={tmp_path / 'run'}", *SETTINGS, "--config.batch.choice=12")
    assert done.returncode == 2
    assert done.stderr.count("config.batch.choice = 12 does not divide by 8 devices") == 1
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
