"""A run on an emulated slice of four hosts is the run of one process with as many devices."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aloe.training import loop, workdir
from cluster.emulated import EmulatedSlice
from cluster.slices import slice_for_hosts
from tests.tasks.clevrer.encoded import flags, settings, write_encoded

ROOT = Path(__file__).parents[2]
STEPS = 6
SETTINGS = {
    "model.hidden": 128,
    "optimizer.warmup_steps": 2,
    "training.steps": STEPS,
    "training.log_every": 1,
    "training.checkpoint_every_steps": 4,
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_encoded(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def start():
    """Runs an entry point on the slice; gives the finished process."""
    with EmulatedSlice(slice_for_hosts(4), devices_per_host=2, port=None) as emulated:

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
    done = start("train.py", f"--data={world}", f"--workdir={folder}", *flags(SETTINGS))
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.fixture(scope="module")
def in_one_process(world, tmp_path_factory):
    resolved = settings(world, SETTINGS)
    resolved.workdir = str(tmp_path_factory.mktemp("one") / "run")
    loop.run(resolved.to_dict(), stop=lambda step: False)
    return Path(resolved.workdir)


def metrics(folder):
    lines = [json.loads(line) for line in (folder / workdir.METRICS).read_text().splitlines()]
    return [{name: value for name, value in line.items() if "per_second" not in name} for line in lines]


def test_losses_and_scores_are_those_of_one_process(on_four_hosts, in_one_process):
    """Up to the order in which devices are summed."""
    four, one = metrics(on_four_hosts[0]), metrics(in_one_process)
    assert [line["step"] for line in four] == [*range(1, STEPS + 1), STEPS]
    assert len(one[-1]) == 1 + 7  # the scores
    for mine, other in zip(four, one, strict=True):
        assert mine == pytest.approx(other, rel=1e-5)


def test_one_host_speaks_for_all(on_four_hosts):
    reports = [line for line in on_four_hosts[1].splitlines() if f"step {STEPS}/{STEPS}  loss" in line]
    assert len(reports) == 1
    assert "host 0" in reports[0]


def test_every_host_writes_its_share_of_a_checkpoint(on_four_hosts):
    shares = [
        sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
        for part in (on_four_hosts[0] / workdir.CHECKPOINTS / str(STEPS)).rglob("ocdbt.process_*")
    ]
    assert len(shares) == 4
    assert max(shares) <= 1.3 * sum(shares) / 4


def test_scoring_on_the_slice_gives_the_scores_of_the_run(on_four_hosts, start):
    folder = on_four_hosts[0]
    done = start("evaluate.py", f"--workdir={folder}")
    assert done.returncode == 0, done.stderr
    assert f"clevrer, validation split, after {STEPS} steps" in done.stdout
    scored = json.loads((folder / f"validation-{STEPS}.json").read_text())
    last = metrics(folder)[-1]
    assert {name: scored[name.removeprefix("validation/")] for name in last if name != "step"} == {
        name: value for name, value in last.items() if name != "step"
    }


def test_what_only_the_hosts_can_find_wrong_is_said_once_and_nothing_is_written(world, start, tmp_path):
    """How many devices there are, they alone know."""
    done = start(
        "train.py", f"--data={world}", f"--workdir={tmp_path / 'run'}", *flags(SETTINGS), "--config.batch.choice=12"
    )
    assert done.returncode == 2
    assert done.stderr.count("config.batch.choice = 12 does not divide by 8 devices") == 1
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
