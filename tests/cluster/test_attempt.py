"""Processes of attempts on this machine: how each ending is reported, who holds the lock, what ends with what."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from cluster import attempt
from cluster.attempt import DEVICE, ended_by, last_line
from cluster.outcomes import Ended, Ending, Outcome
from cluster.policy import Place

ROOT = Path(__file__).parents[2]
PLACE = Place("cpu:0", DEVICE, (("JAX_PLATFORMS", "cpu"), ("JAX_NUM_CPU_DEVICES", "1")))
PROGRAMS = "tests.cluster.programs"


def wait(process, seconds=120):
    """Waits until it has ended; returns how."""
    deadline = time.monotonic() + seconds
    while (ended := process.poll()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return ended


@pytest.fixture
def start(tmp_path):
    processes = []

    def start(number, function, **config):
        folder = tmp_path / str(number)
        processes.append(attempt.start(folder, f"{PROGRAMS}:{function}", config, PLACE))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        wait(process)


def test_a_cluster_whose_head_has_gone_is_no_fault_of_the_run(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        place = Place("a", "v2-8", (("RAY_ADDRESS", address),))
        ended = wait(attempt.start(tmp_path / "1", f"{PROGRAMS}:end_somehow", {}, place))
    assert (ended.ending, ended.final) == (Ending.PREEMPTED, False)
    assert f"no Ray cluster answers at {address}" in ended.message


def test_every_end_comes_back(start, tmp_path):
    ways = ("return", "raise", "refuse", "kill")
    processes = {how: start(how, "end_somehow", how=how) for how in ways}
    ends = {how: wait(process) for how, process in processes.items()}
    assert ends == {
        "return": Ended(Ending.SUCCEEDED, value={"devices": 1, "config": {"how": "return"}}),
        "raise": Ended(Ending.FAILED, "FloatingPointError: step 3: loss not finite", final=True),
        "refuse": Ended(Ending.FAILED, "field x: not good", final=True),
        "kill": Ended(Ending.FAILED, "its process died (signal 9)"),
    }
    assert "Traceback" in (tmp_path / "raise" / attempt.LOG).read_text()
    assert last_line(tmp_path / "refuse") == "field x: not good"
    # A later driver sees the same, except for the signal.
    assert {how: attempt.adopt(tmp_path / how).poll() for how in ways[:3]} == {how: ends[how] for how in ways[:3]}
    assert attempt.adopt(tmp_path / "kill").poll() == Ended(Ending.FAILED, "its process died (killed)")


def test_one_that_is_asked_to_stop_saves_and_leaves(start, tmp_path):
    trail = tmp_path / "trail"
    process = start("a", "count_up", trail=str(trail), to=10**6)
    while not trail.exists() or len(trail.read_text()) < 20:
        assert process.poll() is None
        time.sleep(0.05)
    assert last_line(tmp_path / "a").startswith("step ")
    process.stop()
    assert wait(process) == Ended(Ending.PREEMPTED, "it was told to leave, and did")


DRIVER = """
import sys, time
from pathlib import Path
from cluster import attempt
from cluster.policy import Place

environment = (("JAX_PLATFORMS", "cpu"), ("JAX_NUM_CPU_DEVICES", "1"))
config = {"trail": sys.argv[2], "to": 10**6}
process = attempt.start(Path(sys.argv[1]), "tests.cluster.programs:count_up", config, Place("0", "device", environment))
print("started", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("begun", [False, True])
def test_it_leaves_when_its_driver_is_killed_and_a_later_one_sees_that(tmp_path, begun):
    folder, trail = tmp_path / "a", tmp_path / "trail"
    command = [sys.executable, "-c", textwrap.dedent(DRIVER), str(folder), str(trail)]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert driver.stdout.readline() == b"started\n"
    adopted = attempt.adopt(folder)
    while begun and not trail.exists():
        assert adopted.poll() is None
        time.sleep(0.05)
    assert adopted.poll() is None
    driver.kill()
    driver.wait()
    left = wait(adopted, 60)
    driver.stdout.close()
    if begun:
        assert left == Ended(Ending.PREEMPTED, "it was told to leave, and did")
        lines = trail.read_text()
        time.sleep(0.5)
        assert trail.read_text() == lines
    else:
        assert left.ending == Ending.FAILED
        assert not trail.exists()


def test_one_that_was_never_started_has_ended(tmp_path):
    adopted = attempt.adopt(tmp_path / "nowhere")
    assert adopted.poll() == Ended(Ending.FAILED, "its process died (killed)")
    adopted.stop()
    adopted.kill()


def test_the_last_line_is_that_of_a_long_log_without_colours(tmp_path):
    assert last_line(tmp_path) == ""
    lines = [f"\x1b[36m(host 0 pid=7)\x1b[0m step {step}" for step in range(1000)]
    (tmp_path / attempt.LOG).write_text("\n".join(lines) + "\n\n")
    assert last_line(tmp_path) == "(host 0 pid=7) step 999"


def test_a_lock_that_nobody_holds_does_not_get_a_stranger_killed(tmp_path):
    """The process id in the file may by now be another process's: here it is this test's own."""
    (tmp_path / "lock").write_text(str(os.getpid()))
    received = []
    previous = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    attempt.adopt(tmp_path).stop()
    signal.signal(signal.SIGTERM, previous)
    assert received == []


@pytest.mark.parametrize(
    ("outcome", "ended"),
    [
        (Outcome(Ending.SUCCEEDED, value={"stopped": False}), Ended(Ending.SUCCEEDED, value={"stopped": False})),
        (Outcome(Ending.SUCCEEDED, value=None), Ended(Ending.SUCCEEDED)),
        (Outcome(Ending.PREEMPTED, message="left", value={"stopped": True}), Ended(Ending.PREEMPTED, "left")),
        (Outcome(Ending.CANCELLED, message="killed"), Ended(Ending.PREEMPTED, "killed")),
        (Outcome(Ending.CANCELLED), Ended(Ending.PREEMPTED, "it was told to leave, and did")),
        (Outcome(Ending.FAILED, message="died", lost=True), Ended(Ending.FAILED, "died")),
        (Outcome(Ending.HUNG, message="stands still"), Ended(Ending.HUNG, "stands still")),
        (Outcome(Ending.FAILED, message="bad", program_error=True), Ended(Ending.FAILED, "bad", final=True)),
    ],
)
def test_what_an_outcome_means(outcome, ended):
    assert ended_by(outcome) == ended
