"""Drives a run queue: starts what the policy decides, and records how it ends. One driver per queue."""

import contextlib
import dataclasses
import sys
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol

from cluster import attempt
from cluster.errors import ClusterError
from cluster.ledger import RUNNING, WAITING, Ledger, Run
from cluster.outcomes import Budgets, Ended, Ending, growing_pause
from cluster.policy import Place, Snapshot, Waiting, plan
from cluster.signals import Signals
from cluster.sole import is_held, sole_holder

LOCK = "driver.lock"
_SAY_EVERY_S = 30.0


class Process(Protocol):
    """What the driver requires of an attempt; attempt.Attempt is the real implementation."""

    def poll(self) -> Ended | None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


@dataclasses.dataclass
class _Running:
    """A running attempt; `stop_by` is the time at which it is killed, infinite until it is asked to stop."""

    process: Process
    number: int
    place: Place
    began: float
    stop_by: float = float("inf")


def drive(
    ledger: Ledger,
    places: Callable[[], Sequence[Place]],
    *,
    asked: Collection[str] | None = None,
    budgets: Budgets = Budgets(),  # noqa: B008 (frozen)
    grace_s: float = 660.0,
    poll_s: float = 0.5,
    say: Callable[[str], None] = lambda text: print(text, flush=True),
    start: Callable[..., Process] = attempt.start,
    adopt: Callable[[Path], Process] = attempt.adopt,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Runs everything queued; returns when nothing runs, and what waits needs kinds of places that do not exist.

    Call it while holding `sole_driver` of the queue's folder.

    Attempts that an earlier driver left running are waited for; their runs resume afterwards. The first SIGINT or
    SIGTERM stops the runs, which save and go back in line, uncharged; a second one kills them.

    Args:
      ledger: the queue.
      places: polled for the existing places, free or taken.
      asked: names of runs to wait for even while there is no place of their kinds; None means all.
      budgets: per run.
      grace_s: how long a stopped run may take to save before it is killed; more than gang.run gives the hosts.
      poll_s: seconds between polls.
      say: called with each progress message, one line each.
      start: `attempt.start`.
      adopt: `attempt.adopt`.
      clock: seconds since 1970.
      sleep: `time.sleep`.

    Returns:
      0, or 128 + the signal that stopped it.
    """
    with Signals() as signals:
        driver = _Driver(ledger, asked, budgets, grace_s, say, start, adopt, clock)
        driver.take_over()
        while True:
            driver.collect()
            if signals.received:
                if not driver.running:
                    return 128 + signals.received[0]
                driver.stop_all(at_once=len(signals.received) > 1)
            else:
                driver.stop_cancelled()
                there = places()
                if not driver.start_planned(there) and not driver.running:
                    return 0
                driver.tell(there)
            sleep(poll_s)


def sole_driver(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Context manager: makes this process the only driver of a folder's queue.

    Raises:
      ClusterError: another process drives it; the message says which one and where.
    """

    def refusal(holder: str) -> ClusterError:
        return ClusterError(
            f"{folder}: another driver has this queue: {holder}. Let it run, or end it with SIGTERM: its runs save "
            "first. python launch/runs.py list shows them."
        )

    return sole_holder(folder / LOCK, " ".join(sys.argv), refusal)


def is_driven(folder: Path) -> bool:
    """Whether a driver holds the queue of a folder."""
    return is_held(folder / LOCK)


class _Driver:
    """A driver's state besides the ledger: the running processes, and the places where attempts ended badly."""

    def __init__(
        self,
        ledger: Ledger,
        asked: Collection[str] | None,
        budgets: Budgets,
        grace_s: float,
        say: Callable[[str], None],
        start: Callable[..., Process],
        adopt: Callable[[Path], Process],
        clock: Callable[[], float],
    ) -> None:
        self.running: dict[str, _Running] = {}
        self._ledger = ledger
        self._asked = asked
        self._budgets = budgets
        self._grace_s = grace_s
        self._say = say
        self._start = start
        self._adopt = adopt
        self._clock = clock
        self._faults: dict[Place, int] = {}  # in a row
        self._rests_until: dict[Place, float] = {}
        self._shunned: dict[str, tuple[Place, float]] = {}  # by run, where it last failed, and until when
        self._told = clock()

    def take_over(self) -> None:
        """Adopts attempts that an earlier driver left running; its death has already asked them to stop."""
        for run in self._ledger.runs(RUNNING):
            last = self._ledger.attempts(run.name)[-1]
            process = self._adopt(self._ledger.attempt_folder(run.name, last.number))
            stop_by = self._clock() + self._grace_s
            self.running[run.name] = _Running(process, last.number, Place(last.place, last.kind), last.started, stop_by)
            self._say(f"{run.name}: was running when the last driver ended")

    def collect(self) -> None:
        """Records the attempts that have ended; kills those whose grace is over."""
        for name, running in list(self.running.items()):
            ended = running.process.poll()
            if ended is None:
                if self._clock() > running.stop_by:
                    running.process.kill()
                continue
            del self.running[name]
            was_asked = running.stop_by < float("inf")
            if was_asked and not ended.final and ended.ending != Ending.SUCCEEDED:
                run = self._ledger.release(name, running.number, ended.message, self._clock())
            else:
                self._judge(name, running.place, running.began, ended)
                run = self._ledger.end(name, running.number, ended, self._budgets, self._clock())
            self._tell_end(run, ended)

    def _judge(self, name: str, place: Place, began: float, ended: Ended) -> None:
        """Rests a place where an attempt ended badly, longer for each such end in a row that came soon after the start.

        A broken place is free most of the time, so it would otherwise attract all runs and use up their budgets.
        """
        good = ended.final or ended.ending in (Ending.SUCCEEDED, Ending.CANCELLED)
        if good or self._clock() - began > self._budgets.longest_pause:
            self._faults.pop(place, None)
        if good:
            return
        self._faults[place] = self._faults.get(place, 0) + 1
        if ended.ending != Ending.PREEMPTED:
            self._shunned[name] = place, self._clock() + self._budgets.longest_pause
        self._rests_until[place] = self._clock() + growing_pause(self._faults[place], self._budgets)

    def stop_all(self, *, at_once: bool) -> None:
        if any(running.stop_by == float("inf") for running in self.running.values()):
            self._say(f"stopping: {len(self.running)} running, which save and leave; once more kills them")
        for running in self.running.values():
            if at_once:
                running.process.kill()
            else:
                self._ask_to_stop(running)

    def stop_cancelled(self) -> None:
        for run in self._ledger.runs(RUNNING):
            if run.cancelling and run.name in self.running:
                self._ask_to_stop(self.running[run.name])

    def _ask_to_stop(self, running: _Running) -> None:
        if running.stop_by == float("inf"):
            running.stop_by = self._clock() + self._grace_s
            running.process.stop()

    def start_planned(self, places: Sequence[Place]) -> bool:
        """Starts what the policy decides; returns whether a waiting run may still start, or has just been started."""
        waiting = self._ledger.runs(WAITING)
        now = self._clock()
        resting = frozenset(place for place, until in self._rests_until.items() if until > now)
        held = {name: running.place for name, running in self.running.items()}
        shunned = {name: place for name, (place, until) in self._shunned.items() if until > now}
        line = [
            Waiting(run.name, run.kinds, run.position, run.priority, run.not_before, shunned.get(run.name))
            for run in waiting
        ]
        for name, place in plan(Snapshot(now, places, held, line, resting)).items():
            number = self._ledger.begin(name, place.name, place.kind, now)
            if number is None:  # cancelled in the meantime
                continue
            entry, config = self._ledger.request(name)
            folder = self._ledger.attempt_folder(name, number)
            try:
                process = self._start(folder, entry, config, place)
            except OSError as error:
                ended = Ended(Ending.FAILED, f"its process could not be started: {error}")
                self._judge(name, place, now, ended)
                self._tell_end(self._ledger.end(name, number, ended, self._budgets, self._clock()), ended)
                continue
            self.running[name] = _Running(process, number, place, now)
            self._say(f"{name}: on {place}, attempt {number}, log {folder / attempt.LOG}")
        there = {place.kind for place in places}
        return any(self._asked is None or run.name in self._asked or not there.isdisjoint(run.kinds) for run in waiting)

    def _tell_end(self, run: Run, ended: Ended) -> None:
        why = f" ({ended.message})" if ended.message else ""
        if run.state != WAITING:
            again = "" if run.state == Ending.SUCCEEDED else f"; again: python launch/runs.py retry {run.name}"
            self._say(f"{run.name}: {run.state}{why}{again}")
            return
        pause = run.not_before - self._clock()
        when = f"in {pause:.0f} s" if pause > 0 else "when a place is free"
        spent = (
            f"{run.spent.preemptions} of {self._budgets.preemptions} preemptions, "
            f"{run.spent.failures} of {self._budgets.failures} failures"
        )
        self._say(f"{run.name}: {ended.ending}{why}; goes on {when} ({spent})")

    def tell(self, places: Sequence[Place]) -> None:
        """Reports overall progress from time to time, with the last line printed by each running run."""
        if self._clock() - self._told < _SAY_EVERY_S:
            return
        self._told = self._clock()
        runs = self._ledger.runs()
        states = [run.state for run in runs]
        ended = len(states) - states.count(WAITING) - states.count(RUNNING)
        self._say(f"{ended} of {len(states)} ended, {states.count(RUNNING)} run, {states.count(WAITING)} wait")
        there = {place.kind for place in places}
        for run in runs:
            if run.state == WAITING and there.isdisjoint(run.kinds):
                self._say(f"  {run.name}: there is no {' or '.join(run.kinds)} for it")
        for name, running in self.running.items():
            line = attempt.last_line(self._ledger.attempt_folder(name, running.number))
            self._say(f"  {name} on {running.place}: {line}")
