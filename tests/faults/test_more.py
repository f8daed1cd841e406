"""The other faults, which take too long to be part of every test run: `make faults`."""

import contextlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from aloe.training import goodput
from aloe.training.log import read_events
from cluster import gang
from tests.faults.conftest import POD, STEPS, V2_32, Run, same_bits
from tests.faults.program import HostWithoutPort
from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.faults]

ROOT = Path(__file__).parents[2]


def host_processes():
    """By rank, the process of each host's program."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name().startswith("ray::Host") or process.name() == "ray::host":
                found[int(process.environ()["TPU_WORKER_ID"])] = process
    return found


def test_another_rank_is_killed(undisturbed, training, capfd):
    outcome = training.ends("SIGKILL", rank=2)
    assert outcome.status == "succeeded", outcome
    assert training.starts() == [0, 20]
    assert training.back_in_time(undisturbed)
    assert "host 2 failed: its process died" in capfd.readouterr().err
    same_bits(training, undisturbed)


def test_a_rank_stands_still(undisturbed, training, capfd):
    outcome = training.ends("hang", rank=1)
    assert outcome.status == "succeeded", outcome
    assert training.starts() == [0, 20]
    assert training.back_in_time(undisturbed)
    printed = capfd.readouterr().err
    assert "host 1 hung: stands still in 'host' of step 24" in printed
    assert "in hang" in printed
    same_bits(training, undisturbed)


def test_a_raylet_is_killed(pod, undisturbed, training):
    def strike():
        node = psutil.Process(pod._nodes[pod._hosts[POD, 2]].pid)
        next(child for child in node.children() if child.name() == "raylet").kill()
        time.sleep(5)
        pod.lose(POD, 2)  # what is left of it
        pod.replace(POD, 2)

    outcome = training.ends_although(strike, rank=2)
    assert outcome.status == "succeeded", outcome
    assert training.starts() == [0, 20]
    assert training.back_in_time(undisturbed)
    same_bits(training, undisturbed)


def test_the_disk_is_full_while_saving(training):
    """It is reported, not retried, and the previous checkpoint is complete."""
    outcome = training.ends("full disk while saving", rank=1, step=20, once=False)
    assert outcome.status == "failed"
    assert outcome.program_error
    assert training.starts() == [0]
    assert int(training.state().step) == 10


def test_not_a_number(training):
    outcome = training.ends("NaN", rank=0, step=25, once=False)
    assert outcome.status == "failed"
    assert outcome.program_error
    assert "step 26: " in outcome.message
    assert "not finite; the checkpoint of step 20 stands" in outcome.message
    assert training.starts() == [0]
    assert int(training.state().step) == 20


def test_the_coordinators_port_is_taken(undisturbed, training, tmp_path, monkeypatch):
    monkeypatch.setattr(gang, "Host", HostWithoutPort)
    outcome = training.ends(env={"FIRST_ATTEMPT": str(tmp_path / "first")})
    assert (tmp_path / "first").exists()
    assert outcome.status == "succeeded", outcome
    assert training.starts() == [0]
    same_bits(training, undisturbed)


def test_a_second_run_right_after_the_first(undisturbed, tmp_path):
    for name in ("first", "second"):
        run = Run(tmp_path / name)
        assert run.ends().status == "succeeded"
        same_bits(run, undisturbed)


def test_two_runs_for_one_slice_take_turns(undisturbed, tmp_path):
    runs = [Run(tmp_path / name) for name in ("first", "second")]
    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(Run.ends, runs))
    assert [outcome.status for outcome in outcomes] == ["succeeded", "succeeded"]
    one, other = sorted(runs, key=lambda run: run.events("start")[0]["time"])
    assert one.events("end")[0]["time"] < other.events("start")[0]["time"]
    for run in runs:
        assert run.starts() == [0]
        same_bits(run, undisturbed)


DRIVER = """
import sys
from pathlib import Path
from cluster import gang
from tests.faults.conftest import Run

assert gang.connect()
sys.exit(Run(Path(sys.argv[1])).ends().exit_status)
"""


def test_the_driver_is_killed(pod, undisturbed, training):
    environment = os.environ | {"RAY_ADDRESS": pod.address, "PYTHONPATH": str(ROOT)}
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(training.folder)], env=environment)
    training.at_step(25)
    assert len(host_processes()) == V2_32.hosts
    driver.kill()
    driver.wait()
    wait_for(lambda: not host_processes(), 30)  # they end with it
    assert max(event["step"] for event in training.events("times")) < STEPS
    assert training.ends().status == "succeeded"
    assert training.starts()[0] == 0
    assert training.starts()[1] >= 20
    same_bits(training, undisturbed)


def test_a_worker_that_is_five_times_slower_is_named(undisturbed, training):
    outcome = training.ends("slow", rank=2)
    assert outcome.status == "succeeded", outcome
    assert training.starts() == [0]
    print(goodput.report(training.folder))
    straggles = [speed.straggles for speed in goodput.host_speeds(list(read_events(training.folder)))]
    assert "host" in straggles[2]
    assert ["host" in straggles[rank] for rank in (0, 1, 3)] == [False, False, False]
    same_bits(training, undisturbed)
