"""What takes as long as it has always taken is left alone; what takes far longer ends the process."""

import subprocess
import sys
import threading
import time

import pytest

from cluster import watchdog
from cluster.watchdog import Mark, Patience, Watchdog


def test_the_bound_is_learned_from_each_activity_by_itself():
    dog = Watchdog(Patience(unknown=100.0, least=0.01, times=10.0, seen=2), lambda *_: None)
    for step in range(3):
        dog.mark("quick", step)
        dog.mark("slow", step)
        time.sleep(0.05)
    dog.mark("end", 3)
    assert 0.5 <= dog.bound("slow") < 2.0
    assert dog.bound("quick") < 0.5
    assert dog.bound("end") == dog.bound("never seen") == 100.0
    assert dog.where().number == 7
    assert (dog.where().activity, dog.where().step) == ("end", 3)


def test_nothing_is_known_before_it_was_seen_often_enough_and_what_is_quick_has_the_least():
    dog = Watchdog(Patience(unknown=100.0, least=5.0, seen=3), lambda *_: None)
    for step in range(3):
        dog.mark("step", step)
        assert dog.bound("step") == 100.0
    dog.mark("step", 3)
    assert dog.bound("step") == 5.0


@pytest.fixture
def ends():
    """A watchdog that ends nothing, and what it would have said and done."""
    said, ended = [], threading.Event()
    patience = Patience(unknown=60.0, least=0.5, times=10.0, seen=2)
    dog = Watchdog(patience, lambda mark, stacks: said.append((mark, stacks)), end=lambda status: ended.set())
    dog.start()
    yield dog, said, ended
    dog.stop()


def test_a_step_that_stands_still_is_told_with_every_stack(ends, capfd):
    dog, said, ended = ends
    for step in range(5):
        dog.mark("step", step)
        time.sleep(0.01)
    assert ended.wait(10)
    (mark, stacks) = said[0]
    assert (mark.activity, mark.step, mark.number) == ("step", 4, 5)
    assert 0.5 < mark.seconds < 5
    assert "test_a_step_that_stands_still" in stacks
    assert stacks.count("hread 0x") >= 2
    assert "stands still in 'step' of step 4" in capfd.readouterr().err
    assert len(said) == 1


def test_a_program_that_sets_no_mark_is_left_alone(ends):
    _, said, ended = ends
    assert not ended.wait(1.5)
    assert not said


def test_steps_five_times_slower_than_before_are_left_alone(ends):
    dog, said, ended = ends
    for step in range(40):
        dog.mark("step", step)
        time.sleep(0.02)
    for step in range(40, 60):
        dog.mark("step", step)
        time.sleep(0.1)
    assert not said
    assert not ended.is_set()


FROZEN = """
import ctypes, time
from cluster import watchdog

watchdog.begin(watchdog.Patience(frozen=2.0), lambda *_: None)
watchdog.mark("step", 1)
time.sleep(1.0)
ctypes.PyDLL(None).sleep(60)  # native code that lets no other thread run Python
"""


def test_native_code_that_keeps_python_from_running_is_ended_with_its_stack():
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", FROZEN], capture_output=True, text=True, timeout=50)
    assert time.monotonic() - began < 30
    assert done.returncode == 1
    assert "Timeout (0:00:02)!" in done.stderr
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
