"""An activity that takes as long as it always has is left alone; one that takes far longer ends the process."""

import subprocess
import sys
import threading

import pytest

from cluster import watchdog
from cluster.watchdog import Mark, Patience, Watchdog


class Clock:
    """Advances only when the test advances it."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_the_bound_is_learned_from_each_activity_by_itself(clock):
    dog = Watchdog(Patience(unknown=100.0, least=0.01, times=10.0, seen=2), lambda *_: None, clock=clock)
    for step in range(3):
        dog.mark("quick", step)
        clock.now += 0.25
        dog.mark("slow", step)
        clock.now += 2.0 + step
    dog.mark("end", 3)
    assert dog.bound("slow") == 40.0
    assert dog.bound("quick") == 2.5
    assert dog.bound("end") == dog.bound("never seen") == 100.0
    clock.now += 5.0
    assert dog.where() == Mark(7, "end", 3, 5.0)


def test_nothing_is_known_before_it_was_seen_often_enough_and_what_is_quick_has_the_least(clock):
    dog = Watchdog(Patience(unknown=100.0, least=5.0, seen=3), lambda *_: None, clock=clock)
    for step in range(3):
        dog.mark("step", step)
        assert dog.bound("step") == 100.0
    dog.mark("step", 3)
    assert dog.bound("step") == 5.0


@pytest.fixture
def ends(clock):
    """A watchdog that ends no process, what it reports, and the exit statuses it would end with."""
    said, ended = [], []
    patience = Patience(unknown=60.0, least=0.5, times=10.0, seen=2)
    dog = Watchdog(patience, lambda mark, stacks: said.append((mark, stacks)), end=ended.append, clock=clock)
    return dog, said, ended


def test_a_step_that_stands_still_is_told_with_every_stack(ends, clock, capfd):
    dog, said, ended = ends
    for step in range(5):
        dog.mark("step", step)
        clock.now += 0.25
    clock.now += 2.25  # now ten times the longest so far
    assert not dog.look()
    assert not said
    clock.now += 0.25
    assert dog.look()
    ((mark, stacks),) = said
    assert mark == Mark(5, "step", 4, 2.75)
    assert ended == [watchdog.EXIT_STATUS]
    assert "test_a_step_that_stands_still" in stacks
    assert "stands still in 'step' of step 4" in capfd.readouterr().err


def test_a_program_that_sets_no_mark_is_left_alone(ends, clock):
    dog, said, ended = ends
    clock.now += 1e6
    assert not dog.look()
    assert (said, ended) == ([], [])


def test_steps_five_times_slower_than_before_are_left_alone(ends, clock):
    dog, said, ended = ends
    for step in range(60):
        dog.mark("step", step)
        clock.now += 0.125 if step < 40 else 0.625
        assert not dog.look()
    assert (said, ended) == ([], [])


def test_its_thread_sees_a_process_that_stands_still():
    said, ended = [], threading.Event()
    patience = Patience(unknown=600.0, least=5.0, times=0.0, seen=2)
    dog = Watchdog(patience, lambda *told: said.append(told), end=lambda _: ended.set())
    dog.start()
    for step in range(4):
        dog.mark("step", step)
    assert ended.wait(300)
    dog.stop()
    ((mark, stacks),) = said
    assert (mark.activity, mark.step, mark.number) == ("step", 3, 4)
    assert mark.seconds > 5.0
    assert stacks.count("hread 0x") >= 2


FROZEN = """
import ctypes, time
from cluster import watchdog

watchdog.begin(watchdog.Patience(frozen=5.0), lambda *_: None)
watchdog.mark("step", 1)
time.sleep(3.0)
ctypes.PyDLL(None).sleep(600)  # native code that lets no other thread run Python
"""


def test_native_code_that_keeps_python_from_running_is_ended_with_its_stack():
    done = subprocess.run([sys.executable, "-c", FROZEN], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "Timeout (0:00:05)!" in done.stderr
    assert 'File "<string>", line 8' in done.stderr


def test_without_a_watchdog_marks_do_nothing():
    watchdog.mark("step", 1)
    assert watchdog.where() is None
    assert str(Mark(3, "save", 7, 12.3)) == "in 'save' of step 7 for 12 s"


def test_what_waits_for_storage_may_take_far_longer_than_it_ever_has():
    dog = Watchdog(Patience(least=5.0, storage=700.0, seen=2), lambda *_: None)
    for step in range(3):
        dog.mark(watchdog.COMMIT, step)
    dog.mark("end", 3)
    assert dog.bound(watchdog.COMMIT) == 700.0
