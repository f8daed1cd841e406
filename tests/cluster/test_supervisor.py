"""When a run is restarted, and when it is not: `gang.run` with fake machines."""

import contextlib
import os
import signal

import pytest

from cluster import gang, placement, supervisor
from cluster.errors import UnavailableError
from cluster.outcomes import Budgets, Ending, Outcome
from cluster.slices import slice_named

V2_8 = slice_named("v2-8")
DIED = Outcome(Ending.FAILED, 1, "its process died", exit_status=1, lost=True)
DONE = Outcome(Ending.SUCCEEDED, 0, value={})


@pytest.fixture
def machines(monkeypatch):
    """What becomes of the attempts, in order: one function each, which returns the outcome or raises."""
    script = []

    class Watch:
        def __init__(self, *_):
            pass

        def until_ended(self, signals, grace_s):
            return script.pop(0)()

    @contextlib.contextmanager
    def reserved(*_):
        yield None, ["of rank 0"]

    monkeypatch.setattr(gang.ray, "is_initialized", lambda: True)
    monkeypatch.setattr(gang, "Watch", Watch)
    monkeypatch.setattr(gang, "reserved", reserved)
    monkeypatch.setattr(gang, "_start", lambda *_: [])
    monkeypatch.setattr(gang, "kill", lambda *_: None)
    monkeypatch.setattr(gang, "without_host", lambda *_: set())
    monkeypatch.setattr(gang, "_MACHINE_LOST_S", 0.0)
    monkeypatch.setattr(placement, "whole_slices", lambda: [(V2_8, "a")])
    return script


def keep_running():
    return supervisor.keep_running("m:f", {}, [V2_8], budgets=Budgets(failures=1, first_pause=0.1))


def test_a_process_that_died_is_started_again_within_the_budget(machines, capfd):
    machines += [lambda: DIED, lambda: DONE]
    assert keep_running().status == Ending.SUCCEEDED
    machines += [lambda: DIED, lambda: DIED]
    outcome = keep_running()
    assert (outcome.status, outcome.rank, outcome.exit_status) == (Ending.FAILED, 1, 1)
    assert capfd.readouterr().err.count("host 1 failed: its process died") == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("ending", [Ending.FAILED, Ending.HUNG, Ending.PREEMPTED, Ending.SUCCEEDED])
def test_a_run_that_was_told_to_stop_stays_stopped_however_it_ended(machines, number, ending, capfd):
    def told():
        os.kill(os.getpid(), number)
        return Outcome(ending, 1, "while it left", exit_status=int(ending != Ending.SUCCEEDED))

    machines.append(told)
    outcome = keep_running()
    assert (outcome.status, outcome.exit_status) == (Ending.CANCELLED, 128 + number)
    assert ("while it left" in capfd.readouterr().err) == (ending in (Ending.FAILED, Ending.HUNG))


def test_an_error_of_the_program_is_told_as_that_although_it_was_told_to_stop(machines):
    def told():
        os.kill(os.getpid(), signal.SIGINT)
        return Outcome(Ending.FAILED, 0, "ValueError: bad", exit_status=1, program_error=True)

    machines.append(told)
    assert keep_running().status == Ending.FAILED


def test_a_slice_that_leaves_while_it_is_waited_for_is_waited_for_again(machines, monkeypatch):
    looks = iter([[(V2_8, "a")], [], [(V2_8, "a")]])
    monkeypatch.setattr(placement, "whole_slices", lambda: next(looks))

    def left():
        raise UnavailableError("the cluster has no whole v2-8")

    machines += [left, lambda: DONE]
    assert keep_running().status == Ending.SUCCEEDED
    assert list(looks) == []


def test_a_slice_that_there_has_never_been_is_refused(machines, monkeypatch):
    monkeypatch.setattr(placement, "whole_slices", list)

    def absent():
        raise UnavailableError("the cluster has no whole v2-8")

    machines.append(absent)
    with pytest.raises(UnavailableError, match="no whole v2-8"):
        keep_running()
