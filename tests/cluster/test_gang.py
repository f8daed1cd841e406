"""Runs on one emulated slice of four hosts: real Ray, real JAX processes."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from cluster import gang
from cluster.emulated import EmulatedSlice
from cluster.errors import ClusterError
from cluster.placement import reserved
from cluster.process import Timeouts
from cluster.slices import slice_named
from cluster.watchdog import Patience

V2_32 = slice_named("v2-32")
RAY = str(Path(sys.executable).parent / "ray")
PROGRAMS = "tests.cluster.programs"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def emulated():
    environment = {"MEGASCALE_NUM_SLICES": "2"}  # a leftover, which the hosts must clear
    before = set(psutil.Process().children(recursive=True))
    with EmulatedSlice(V2_32, port=None, environment=environment) as emulated:
        assert gang.connect(emulated.address)
        yield emulated
        processes = set(psutil.Process().children(recursive=True)) - before  # orphans too: the nodes adopt them
    assert len(processes) > 10
    assert [process for process in processes if process.is_running()] == []
    assert not emulated.folder.exists()


@pytest.fixture(autouse=True)
def no_process_of_a_run_survives(emulated):
    yield
    deadline = time.monotonic() + 10
    while hosts := _hosts_running():
        assert time.monotonic() < deadline, hosts
        time.sleep(0.1)


def _hosts_running():
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [process] if process.name().lower().startswith("ray::host") else []
    return found


def test_rank_is_the_worker_id_and_a_collective_spans_all_devices(emulated):
    outcome = gang.run(f"{PROGRAMS}:describe", {"a": (1, "ä")}, V2_32, env={"EXTRA": "too"})
    assert (outcome.status, outcome.exit_status, outcome.rank) == ("succeeded", 0, 0)
    assert outcome.value == {
        "config": {"a": [1, "ä"]},
        "worker_ids": [0, 1, 2, 3],
        "devices": [2, 8],
        "sum": 2.0 * (0 + 1 + 2 + 3),
        "megascale": [],
        "extra": "too",
    }


def test_an_exception_is_the_cause_while_the_others_hang(emulated, capfd):
    rank = 2
    began = time.monotonic()
    timeouts = Timeouts(heartbeat=600)  # seconds after which JAX would abort the others
    outcome = gang.run(f"{PROGRAMS}:fail", {"rank": rank, "how": "exception"}, V2_32, timeouts=timeouts)
    assert time.monotonic() - began < 300
    assert (outcome.status, outcome.rank, outcome.exit_status) == ("failed", rank, 1)
    assert outcome.message == "ValueError: the third step is bad"
    assert 'in fail\n    raise ValueError("the third step is bad")' in outcome.traceback
    assert not outcome.lost
    assert capfd.readouterr().err.count(f"host {rank} failed: ValueError: the third step is bad") == 1


def test_an_exit_status_of_its_own_is_passed_on_without_a_traceback(emulated, capfd):
    outcome = gang.run(f"{PROGRAMS}:fail", {"rank": 3, "how": "message"}, V2_32)
    assert (outcome.rank, outcome.exit_status, outcome.message) == (3, 2, "the third step is missing")
    printed = capfd.readouterr().err
    assert "host 3 failed: the third step is missing" in printed
    assert "Traceback" not in printed


def test_what_all_hosts_refuse_is_said_once(emulated, capfd):
    outcome = gang.run(f"{PROGRAMS}:refuse", {"field": "x"}, V2_32)
    assert (outcome.message, outcome.exit_status) == ("field x: not good", 2)
    assert {outcome.rank, *(other.rank for other in outcome.collateral)} == {0, 1, 2, 3}
    assert {other.message for other in outcome.collateral} == {"field x: not good"}
    assert capfd.readouterr().err.count("field x: not good") == 1


@pytest.mark.parametrize("rank", [0, 2])
def test_a_killed_process_is_the_cause_of_what_follows(emulated, rank):
    outcome = gang.run(f"{PROGRAMS}:fail", {"rank": rank, "how": "kill"}, V2_32)
    assert (outcome.status, outcome.rank, outcome.exit_status) == ("failed", rank, 1)
    assert outcome.lost
    assert outcome.message == "its process died"


def test_of_hosts_that_stand_still_the_one_that_the_others_wait_for_is_named_with_its_stack(emulated, capfd):
    timeouts = Timeouts(patience=Patience(least=3.0))
    outcome = gang.run(f"{PROGRAMS}:stand_still", {"rank": 2}, V2_32, timeouts=timeouts)
    assert (outcome.status, outcome.rank, outcome.exit_status) == ("hung", 2, 1)
    assert "in 'input' of step 10" in outcome.message
    assert "_never_return" in outcome.traceback
    assert "host 2 hung: stands still in 'input' of step 10" in capfd.readouterr().err


def test_sigterm_to_one_host_lets_all_leave_at_one_step_and_is_a_preemption(emulated):
    outcome = gang.run(f"{PROGRAMS}:be_told_to_leave", {"rank": 3}, V2_32)
    assert (outcome.status, outcome.message) == ("preempted", "it was told to leave, and did")
    assert outcome.value["stopped"]
    assert len(set(outcome.value["steps"])) == 1
    assert len(outcome.value["steps"]) == 4


@pytest.fixture
def signal_when_training(tmp_path):
    """Sends this process a signal as soon as all hosts are training."""
    done = threading.Event()

    def send(number):
        while not done.wait(0.1):
            if len(list(tmp_path.glob("training*"))) == V2_32.hosts:
                os.kill(os.getpid(), number)
                return

    threads = []

    def start(number):
        threads.append(threading.Thread(target=send, args=(number,)))
        threads[-1].start()

    yield start
    done.set()
    for thread in threads:
        thread.join()


def test_ctrl_c_lets_all_hosts_save_at_the_same_step(emulated, tmp_path, signal_when_training):
    handler = signal.getsignal(signal.SIGINT)
    signal_when_training(signal.SIGINT)
    outcome = gang.run(f"{PROGRAMS}:train_until_stopped", {"folder": str(tmp_path), "saving_s": 0.5}, V2_32)
    assert (outcome.status, outcome.exit_status) == ("cancelled", 128 + signal.SIGINT)
    saved = {int(path.read_text()) for path in tmp_path.glob("saved*")}
    assert len(list(tmp_path.glob("saved*"))) == 4
    assert saved == {outcome.value}
    assert signal.getsignal(signal.SIGINT) == handler


def test_a_run_that_does_not_save_within_the_grace_is_killed(emulated, tmp_path, signal_when_training):
    signal_when_training(signal.SIGTERM)
    config = {"folder": str(tmp_path), "saving_s": 600}
    began = time.monotonic()
    outcome = gang.run(f"{PROGRAMS}:train_until_stopped", config, V2_32, grace_s=1)
    assert time.monotonic() - began < 300
    assert (outcome.status, outcome.message) == ("cancelled", "killed before hosts 0, 1, 2, 3 had returned")
    assert not list(tmp_path.glob("saved*"))


def test_nothing_is_written_after_its_end(emulated, tmp_path, signal_when_training):
    """Ray declares an actor dead before its process is, and sends SIGKILL to a stopped one only after five seconds."""
    signal_when_training(signal.SIGTERM)
    config = {"folder": str(tmp_path), "rank": 2}
    assert gang.run(f"{PROGRAMS}:write_on", config, V2_32, grace_s=0.5).status == "cancelled"
    written = {path: path.stat().st_size for path in tmp_path.glob("written*")}
    assert len(written) == 4
    time.sleep(0.5)
    assert {path: path.stat().st_size for path in written} == written
    assert _hosts_running() == []


def test_a_slice_that_the_cluster_has_not_got_is_refused_at_once(emulated):
    began = time.monotonic()
    with pytest.raises(
        ClusterError, match=r"no whole v3-8 \(1 host.*5 nodes with 4 CPUs, 16 TPU chips: a v2-32 called emulated"
    ):
        gang.run(f"{PROGRAMS}:describe", {}, slice_named("v3-8"))
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("entry", "config", "message"),
    [
        ("module.function", {}, "it must be module:function"),
        ("module:function", {"path": Path("x")}, "the config of module:function is not JSON: .*PosixPath"),
    ],
)
def test_a_malformed_request_is_refused_at_once(emulated, entry, config, message):
    with pytest.raises(ClusterError, match=message):
        gang.run(entry, config, V2_32)


def test_a_busy_slice_is_waited_for(emulated, capfd):
    refused = pytest.raises(ClusterError, match="every v2-32 of the cluster has been busy for")
    with reserved(V2_32, 10, lambda: None), refused:
        gang.run(f"{PROGRAMS}:describe", {}, V2_32, wait_s=3)
    assert "waiting for a free v2-32" in capfd.readouterr().out


DRIVER = """
import sys
from cluster import gang
from cluster.slices import slice_named

assert gang.connect()
outcome = gang.run(sys.argv[1], {"folder": sys.argv[2], "saving_s": 5, "field": "x"}, slice_named("v2-32"))
print("the driver saw", outcome.status, flush=True)
sys.exit(outcome.exit_status)
"""


@pytest.fixture
def submit(emulated, tmp_path):
    """Runs the literal `ray job submit`; only the address differs from the default."""
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}

    def start(entry, *options):
        command = [RAY, "job", "submit", f"--address={emulated.dashboard}", *options]
        command += ["--", "python", str(script), f"{PROGRAMS}:{entry}", str(tmp_path)]
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path
        )

    return start


def test_a_submitted_job_prints_every_line_of_every_host(submit):
    job = submit("describe")
    output, _ = job.communicate(timeout=120)
    assert job.returncode == 0, output
    assert "the driver saw succeeded" in output
    for rank in range(4):
        assert f"(host {rank} " in output
        assert f"this is rank {rank} of 4" in output


def test_a_submitted_job_that_fails_says_why(submit):
    job = submit("refuse")
    output, _ = job.communicate(timeout=120)
    assert job.returncode != 0
    assert "failed: field x: not good" in output
    assert "Traceback" not in output


def test_a_stopped_job_saves_first(submit, emulated, tmp_path):
    job = submit("train_until_stopped", "--submission-id=to-be-stopped")
    while len(list(tmp_path.glob("training*"))) < 4:
        assert job.poll() is None, job.communicate()
        time.sleep(0.1)
    stop = [RAY, "job", "stop", f"--address={emulated.dashboard}", "to-be-stopped"]
    stopped = subprocess.run(stop, capture_output=True, text=True, timeout=120, check=True)
    assert "was stopped" in stopped.stdout + stopped.stderr
    output, _ = job.communicate(timeout=60)
    assert "the driver saw cancelled" in output
    assert len({path.read_text() for path in tmp_path.glob("saved*")}) == 1
    assert len(list(tmp_path.glob("saved*"))) == 4


def test_the_cluster_of_the_default_dashboard_is_found(emulated, monkeypatch):
    monkeypatch.setattr(gang, "DASHBOARD_PORT", int(emulated.dashboard.rsplit(":", 1)[1]))
    assert gang._address_on_this_machine() == emulated.address
