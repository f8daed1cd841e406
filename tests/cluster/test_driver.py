"""The driver with fake processes and a fake clock: crashes at every point, cancellations, signals, budgets."""

import contextlib
import dataclasses
import itertools
import os
import signal
import sys
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.driver import LOCK, drive, sole_driver
from cluster.errors import ClusterError
from cluster.ledger import RUNNING, WAITING, Ledger, Request
from cluster.outcomes import Budgets, Ended, Ending, Spent
from cluster.policy import Place

PLACES = (Place("0", "device"), Place("1", "device"))
BUDGETS = Budgets(preemptions=2, failures=1, first_pause=10.0, longest_pause=40.0)
GRACE_S = 60.0
OK, PREEMPTED, FAILED = Ended(Ending.SUCCEEDED, value=1), Ended(Ending.PREEMPTED, "gone"), Ended(Ending.FAILED, "died")
ERROR = Ended(Ending.FAILED, "ValueError: bad", final=True)


class CrashError(BaseException):
    """The driver is killed here."""


@dataclasses.dataclass
class FakeProcess:
    """Ends as its run's script says, after that many seconds on the world's clock, or two after being asked to stop."""

    world: "World"
    run: str
    place: Place
    ends_at: float
    end: Ended
    deaf: bool = False
    recorded: Ended | None = None  # the ending recorded in its folder

    def poll(self):
        self.world.let_end(self)
        return self.recorded

    def stop(self):
        if self.recorded is None and not self.deaf and self.ends_at > self.world.now + 2:
            self.world.scripts[self.run].insert(0, (self.ends_at - self.world.now, self.end))  # the rest of it
            self.ends_at, self.end = self.world.now + 2, PREEMPTED

    def kill(self):
        self.ends_at, self.end = self.world.now, FAILED


class World:
    """The machines, which keep running whatever happens to the driver."""

    def __init__(self, folder, scripts, deaf=()):
        """`scripts`: by run, how its attempts end, one (seconds, end) each; any further ones end OK after 5 s."""
        self.folder = folder
        self.now = 1000.0
        self.scripts = {name: list(script) for name, script in scripts.items()}
        self.deaf = deaf
        self.processes = {}
        self.completed = Counter()
        self.started = []
        self.points_left = float("inf")
        self.said = []
        self.on_sleep = lambda: None
        self.places = PLACES
        self.asked = None
        with Ledger(folder) as ledger:
            ledger.add([Request(name, "m:f", {}, ("device",)) for name in scripts])

    def let_end(self, process):
        if process.recorded is None and self.now >= process.ends_at:
            process.recorded = process.end
            if process.end.ending == Ending.SUCCEEDED:
                self.completed[process.run] += 1

    def alive(self):
        for process in self.processes.values():
            self.let_end(process)
        return [process for process in self.processes.values() if process.recorded is None]

    def start(self, folder, entry, config, place):
        self.point()
        assert folder not in self.processes
        run = folder.parent.name
        for other in self.alive():
            assert other.run != run, f"{run} runs twice"
            assert other.place != place, f"{place} is taken"
        seconds, end = self.scripts[run].pop(0) if self.scripts[run] else (5, OK)
        self.started.append((run, place.name, self.now))
        self.processes[folder] = FakeProcess(self, run, place, self.now + seconds, end, run in self.deaf)
        self.point()
        return self.processes[folder]

    def adopt(self, folder):
        """An attempt that was recorded but never started is reported as failed, as by attempt.Attempt."""
        never = FakeProcess(self, folder.parent.name, PLACES[0], 0, FAILED, recorded=FAILED)
        return self.processes.get(folder, never)

    def point(self):
        self.points_left -= 1
        if self.points_left <= 0:
            raise CrashError

    def sleep(self, seconds):
        self.now += 1
        assert self.now < 10_000, "it never ends"
        self.on_sleep()

    def drive(self, crash_after=float("inf")):
        """Drives until the end; returns None if the driver was killed, at point number `crash_after`."""
        world, self.points_left = self, crash_after

        class CrashingLedger(Ledger):
            @contextlib.contextmanager
            def _transaction(self):
                world.point()
                with super()._transaction():
                    yield
                world.point()

        try:
            with Ledger(self.folder) as ready:
                ledger = CrashingLedger.__new__(CrashingLedger)
                ledger.__dict__ = ready.__dict__
                return drive(
                    ledger,
                    lambda: self.places,
                    asked=self.asked,
                    budgets=BUDGETS,
                    grace_s=GRACE_S,
                    say=self.said.append,
                    start=self.start,
                    adopt=self.adopt,
                    clock=lambda: self.now,
                    sleep=self.sleep,
                )
        except CrashError:
            for process in self.alive():
                process.stop()  # the kernel sends SIGTERM to the children
            return None

    def runs(self):
        with Ledger(self.folder) as ledger:
            return {run.name: run for run in ledger.runs()}


SCRIPTS = {"a": [(7, PREEMPTED), (30, OK)], "b": [(3, FAILED)], "c": [], "d": [(4, ERROR)]}


def check_all_ended_once(world):
    states = {name: run.state for name, run in world.runs().items()}
    assert states == {"a": "succeeded", "b": "succeeded", "c": "succeeded", "d": "failed"}
    assert world.completed == {"a": 1, "b": 1, "c": 1}
    assert world.alive() == []
    with Ledger(world.folder) as ledger:
        for name in states:
            attempts = ledger.attempts(name)
            charged = Counter(attempt.ending for attempt in attempts)
            assert all(attempt.ended is not None for attempt in attempts)
            run = ledger.run(name)
            assert run.spent == Spent(charged["preempted"], charged["failed"])


def test_without_a_crash_each_ends_as_it_should(tmp_path):
    world = World(tmp_path, SCRIPTS)
    assert world.drive() == 0
    check_all_ended_once(world)
    assert {name: run.spent for name, run in world.runs().items()} == {
        "a": Spent(1, 0),
        "b": Spent(0, 1),
        "c": Spent(),
        "d": Spent(0, 1),
    }


def test_killed_at_any_one_point_the_same_command_goes_on(tmp_path):
    points = 0
    while True:
        points += 1
        world = World(tmp_path / str(points), SCRIPTS)
        if world.drive(crash_after=points) == 0:
            break
        assert world.drive() == 0
        check_all_ended_once(world)
    print("points:", points)
    assert points > 30


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.integers(1, 40), max_size=6))
def test_killed_again_and_again_nothing_runs_twice(tmp_path_factory, crashes):
    world = World(tmp_path_factory.mktemp("queue"), SCRIPTS)
    for points in crashes:
        world.drive(crash_after=points)
    assert world.drive() == 0
    check_all_ended_once(world)


def test_a_finished_queue_starts_nothing(tmp_path):
    world = World(tmp_path, SCRIPTS)
    world.drive()
    started = len(world.started)
    assert world.drive() == 0
    assert len(world.started) == started


def test_a_run_whose_process_does_not_leave_with_its_driver_is_killed_after_the_grace(tmp_path):
    world = World(tmp_path, {"a": [(5000, OK)]}, deaf=("a",))

    def crash():
        raise CrashError

    world.on_sleep = crash
    assert world.drive() is None
    assert len(world.alive()) == 1
    world.on_sleep, left = lambda: None, world.now
    assert world.drive() == 0
    assert [run for run, _, _ in world.started] == ["a", "a"]
    assert GRACE_S < world.started[1][2] - left < GRACE_S + 5
    assert world.runs()["a"].spent == Spent()


def test_a_bad_run_does_not_hold_the_others(tmp_path):
    world = World(tmp_path, {"bad": [(1, FAILED)] * 10, "hung": [(1, Ended(Ending.HUNG, "stood"))] * 10, "good": []})
    assert world.drive() == 0
    runs = world.runs()
    assert {name: run.state for name, run in runs.items()} == {"bad": "failed", "hung": "hung", "good": "succeeded"}
    assert runs["bad"].spent == runs["hung"].spent == Spent(failures=BUDGETS.failures + 1)


def test_a_place_that_lets_runs_down_rests_and_does_not_take_them_all(tmp_path):
    """One device is broken: whatever starts there fails at once, so it would be the first to be free every time."""
    world = World(tmp_path, {f"run{number}": [] for number in range(12)})
    start = world.start

    def start_on_broken(folder, entry, config, place):
        process = start(folder, entry, config, place)
        if place.name == "0":
            process.ends_at, process.end = world.now + 1, FAILED
        return process

    world.start = start_on_broken
    assert world.drive() == 0
    assert {run.state for run in world.runs().values()} == {"succeeded"}
    assert max(Counter(run for run, place, _ in world.started if place == "0").values()) == 1


def test_preemptions_that_are_far_apart_let_a_place_rest_only_shortly(tmp_path):
    """Preemptions of a slice that is rented cheaply and taken away twice a day are not its fault."""
    world = World(tmp_path, {"a": [(100, PREEMPTED)] * 2})
    world.places = PLACES[:1]
    assert world.drive() == 0
    starts = [when for _, _, when in world.started]
    rests = [later - start - 100 for start, later in itertools.pairwise(starts)]
    assert rests == [BUDGETS.first_pause] * 2
    soon = World(tmp_path / "soon", {"a": [(1, PREEMPTED)] * 2})
    soon.places = PLACES[:1]
    assert soon.drive() == 0
    starts = [when for _, _, when in soon.started]
    assert [later - start - 1 for start, later in itertools.pairwise(starts)] == [10, 20]


def test_a_slice_that_comes_later_is_used(tmp_path):
    world = World(tmp_path, {"a": []})
    world.places = ()

    def arrive():
        if world.now > 1100:
            world.places = PLACES

    world.on_sleep = arrive
    assert world.drive() == 0
    assert world.started[0][2] > 1100


@pytest.mark.parametrize("state", [WAITING, RUNNING])
def test_a_cancelled_run_stops_while_the_others_go_on(tmp_path, state):
    names = ("first", "second", "third")
    world = World(tmp_path, {name: [(30, OK)] for name in names})
    cancelled = "third" if state == WAITING else "first"

    def cancel():
        if world.now == 1010:
            with Ledger(tmp_path) as ledger:
                assert ledger.run(cancelled).state == state
                ledger.cancel(cancelled)

    world.on_sleep = cancel
    assert world.drive() == 0
    states = {name: run.state for name, run in world.runs().items()}
    assert states == dict.fromkeys(names, "succeeded") | {cancelled: "cancelled"}
    assert world.runs()[cancelled].spent == Spent()
    assert world.now < 1000 + 2 * 30 + 10


def test_a_run_that_is_queued_or_retried_meanwhile_is_run(tmp_path):
    world = World(tmp_path, {"a": [(30, OK)], "b": [(1, ERROR)]})
    world.scripts["c"] = []

    def more():
        if world.now == 1010:
            with Ledger(tmp_path) as ledger:
                ledger.add([Request("c", "m:f", {}, ("device",))])
                ledger.retry("b")

    world.on_sleep = more
    assert world.drive() == 0
    assert {run.state for run in world.runs().values()} == {"succeeded"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_runs_and_charges_nothing(tmp_path, number):
    world = World(tmp_path, {"a": [(500, OK)], "b": [(500, OK)], "c": [(500, OK)]})
    world.on_sleep = lambda: os.kill(os.getpid(), number) if world.now == 1005 else None
    assert world.drive() == 128 + number
    assert world.now < 1015
    assert {(run.state, run.spent) for run in world.runs().values()} == {(WAITING, Spent())}
    assert world.alive() == []
    world.on_sleep = lambda: None
    assert world.drive() == 0
    assert {run.state for run in world.runs().values()} == {"succeeded"}


def test_a_second_signal_kills(tmp_path):
    world = World(tmp_path, {"a": [(500, OK)]}, deaf=("a",))
    world.on_sleep = lambda: os.kill(os.getpid(), signal.SIGINT) if world.now in (1005, 1010) else None
    assert world.drive() == 128 + signal.SIGINT
    assert 1010 <= world.now < 1015


def test_a_second_driver_is_refused_with_the_whereabouts_of_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["launch/sweep.py", "--seeds=2"])
    whereabouts = rf"another driver has this queue: process {os.getpid()} on .* since .*launch/sweep.py --seeds=2"
    with sole_driver(tmp_path), pytest.raises(ClusterError, match=whereabouts), sole_driver(tmp_path):
        pytest.fail("there were two")
    with sole_driver(tmp_path):
        assert (tmp_path / LOCK).exists()


def test_runs_that_nobody_asks_for_are_not_waited_for_without_a_place_of_their_kind(tmp_path):
    """Such as those left by an interrupted sweep on other machines; those that have a place are run all the same."""
    world = World(tmp_path, {"a": [(100, OK)], "b": []})
    with Ledger(tmp_path) as ledger:
        ledger.add([Request("elsewhere", "m:f", {}, ("v2-32",))])
    world.asked = {"a"}
    assert world.drive() == 0
    assert {name: run.state for name, run in world.runs().items()} == {
        "a": "succeeded",
        "b": "succeeded",
        "elsewhere": WAITING,
    }
    assert "  elsewhere: there is no v2-32 for it" in world.said


def test_a_run_that_is_asked_for_is_waited_for_until_there_is_a_place(tmp_path):
    world = World(tmp_path, {"a": []})
    world.asked, world.places = {"a"}, ()

    def come():
        if world.now == 1200:
            world.places = PLACES

    world.on_sleep = come
    assert world.drive() == 0
    assert world.started == [("a", "0", 1200)]


def test_a_run_whose_process_died_avoids_its_place_for_the_longest_pause_while_the_other_one_is_taken(tmp_path):
    world = World(tmp_path, {"a": [(60, FAILED)], "b": [(5000, OK)]})
    assert world.drive() == 0
    first, again = [(place, at) for run, place, at in world.started if run == "a"]
    assert again[0] == first[0]
    assert again[1] - 1060 == pytest.approx(BUDGETS.longest_pause, abs=5)


def test_a_process_that_cannot_be_started_is_a_failure_and_no_end_of_the_queue(tmp_path):
    world = World(tmp_path, {"a": [], "b": []})
    start, refused = world.start, []

    def start_or_refuse(folder, *where):
        if not refused:
            refused.append(folder)
            raise OSError("no room")
        return start(folder, *where)

    world.start = start_or_refuse
    assert world.drive() == 0
    assert {run.state for run in world.runs().values()} == {"succeeded"}
    assert world.runs()[refused[0].parent.name].spent == Spent(failures=1)
