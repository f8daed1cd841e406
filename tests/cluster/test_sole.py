"""One process at a time holds the file; a second one is told who holds it."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.errors import ClusterError
from cluster.sole import is_held, sole_holder

HOLDER = """
import sys, time
from pathlib import Path
from cluster.errors import ClusterError
from cluster.sole import sole_holder

with sole_holder(Path(sys.argv[1]), "the first one", ClusterError):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the file."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_one_is_refused_with_the_firsts_whereabouts(holder, tmp_path):
    def refusal(whereabouts):
        return ClusterError(f"taken by {whereabouts}; wait")

    with (
        pytest.raises(
            ClusterError, match=rf"^taken by process {holder.pid} on \S+ since [-\d]+ \S+: the first one; wait$"
        ),
        sole_holder(tmp_path / "lock", "me", refusal),
    ):
        pytest.fail("it was had twice")


def test_it_is_free_once_its_holder_is_killed(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with sole_holder(tmp_path / "lock", "me", ClusterError):
        assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()} on ")


def test_it_is_waited_for_and_said_for_whom(holder, tmp_path):
    said = []

    def say(text):
        said.append(text)
        holder.kill()

    with sole_holder(tmp_path / "lock", "me", ClusterError, wait_s=60, say=say):
        assert holder.wait(60) == -signal.SIGKILL
    assert len(said) == 1
    assert f"taken by process {holder.pid} on " in said[0]


def test_it_is_waited_for_only_so_long(holder, tmp_path):
    began = time.monotonic()
    with (
        pytest.raises(ClusterError),
        sole_holder(tmp_path / "lock", "me", ClusterError, wait_s=1.0, say=lambda _: None),
    ):
        pytest.fail("it was had twice")
    assert 1.0 <= time.monotonic() - began < 30


def test_left_it_is_free_again(tmp_path):
    assert not is_held(tmp_path / "lock")
    for _ in range(2):
        with sole_holder(tmp_path / "lock", "me", ClusterError):
            assert is_held(tmp_path / "lock")
        assert not is_held(tmp_path / "lock")


def test_who_only_looks_keeps_nobody_out(tmp_path, monkeypatch):
    """A look locks the file for a moment; here it unlocks once the first attempt to hold the file has failed."""
    (tmp_path / "lock").touch()
    flock = fcntl.flock
    with (tmp_path / "lock").open() as looking:
        flock(looking, fcntl.LOCK_SH)

        def try_to_hold(descriptor, how):
            try:
                flock(descriptor, how)
            finally:
                flock(looking, fcntl.LOCK_UN)

        monkeypatch.setattr(fcntl, "flock", try_to_hold)
        with sole_holder(tmp_path / "lock", "me", ClusterError):
            assert (tmp_path / "lock").read_text().endswith(": me")


def test_a_holder_is_named_although_it_has_only_just_begun(tmp_path, monkeypatch):
    """It writes its name just before the second one's second attempt fails."""
    flock, tries = fcntl.flock, []
    with (tmp_path / "lock").open("w") as held:
        flock(held, fcntl.LOCK_EX)

        def try_to_hold(descriptor, how):
            tries.append(how)
            if len(tries) == 2:
                held.write("the new one")
                held.flush()
            flock(descriptor, how)

        monkeypatch.setattr(fcntl, "flock", try_to_hold)
        with pytest.raises(ClusterError, match=r"^the new one$"), sole_holder(tmp_path / "lock", "me", ClusterError):
            pytest.fail("it was had twice")


def test_where_the_file_system_has_no_locks_it_is_said_and_nobody_kept_out(tmp_path, monkeypatch):
    def flock(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    said = []
    with sole_holder(tmp_path / "lock", "me", ClusterError, say=said.append):
        assert not is_held(tmp_path / "lock")
    assert len(said) == 1
    assert f"{tmp_path}/lock: its file system has no locks (No locks available)" in said[0]
