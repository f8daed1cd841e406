"""A day of 1,000 slices and 10,000 runs, with slices that are preempted and come back, and runs that fail.

The clock is simulated; the policy and the charging of budgets are real. The policy is called once
per simulated minute.
"""

import dataclasses
import heapq
import random
import time
from collections import Counter

from cluster.outcomes import Budgets, Ended, Ending, Spent, pause_before_retry
from cluster.policy import Place, Snapshot, Waiting, plan

SLICES, RUNS, MINUTES = 1_000, 10_000, 24 * 60
KINDS = ("v2-8", "v2-32", "v2-128")
BUDGETS = Budgets(preemptions=3, failures=3, first_pause=5.0, longest_pause=60.0)


@dataclasses.dataclass
class Work:
    """A run of the day; times are in minutes."""

    waiting: Waiting
    minutes_left: float
    breaks: bool  # every attempt fails, as with bad data that shows up late
    arrives: int
    spent: Spent = dataclasses.field(default_factory=Spent)
    started: float = 0.0
    attempts: int = 0
    ended: Ending | None = None


def make_day(seed):
    rng = random.Random(seed)
    places = [Place(str(n), rng.choices(KINDS, (60, 30, 10))[0]) for n in range(SLICES)]
    works = {}
    for position in range(RUNS):
        least = rng.choices(range(3), (70, 25, 5))[0]
        run = Waiting(f"run{position}", KINDS[least:], position, rng.choice((0, 0, 0, 0, 1)))
        arrives = 0 if position < RUNS // 2 else (position - RUNS // 2) * MINUTES // RUNS
        works[run.name] = Work(run, rng.uniform(20, 200), rng.random() < 0.02, arrives)
    return rng, places, works


def live_through(seed):
    """Simulates the day until all runs have ended; returns the runs, the share of slice minutes used, and the minutes.

    The share is over the minutes in which more than SLICES runs waited.
    """
    rng, places, works = make_day(seed)
    arriving = sorted(works.values(), key=lambda work: work.arrives, reverse=True)
    waiting, running = {}, {}
    away: dict[str, float] = {}  # by the name of the place, the minute at which it is back
    ended = 0
    endings: list[tuple[float, int, str]] = []  # (minute, attempt, name)
    used = available = 0
    minute = 0
    while ended < RUNS:
        assert minute < 3 * MINUTES, "runs that never end"
        while arriving and arriving[-1].arrives <= minute:
            work = arriving.pop()
            waiting[work.waiting.name] = work.waiting

        def end(name, ending, minute=minute):
            nonlocal ended
            work = works[name]
            del running[name]
            work.minutes_left -= minute - work.started
            work.spent = work.spent.charged(ending)
            pause = pause_before_retry(Ended(ending), work.spent, BUDGETS)
            if pause is None:
                work.ended = ending
                ended += 1
            else:
                waiting[name] = dataclasses.replace(work.waiting, not_before=minute + pause)

        while endings and endings[0][0] <= minute:
            _, attempt, name = heapq.heappop(endings)
            if name in running and works[name].attempts == attempt:
                end(name, Ending.FAILED if works[name].breaks else Ending.SUCCEEDED)
        by_place = {place.name: name for name, place in running.items()}
        for place in [place for place, back in away.items() if back <= minute]:
            del away[place]
        for place in places:
            if place.name not in away and rng.random() < 1 / 300:  # about five times a day
                away[place.name] = minute + rng.uniform(1, 30)
                if place.name in by_place:
                    end(by_place[place.name], Ending.PREEMPTED)

        there = [place for place in places if place.name not in away]
        free = Counter(place.kind for place in set(there) - set(running.values()))
        starts = plan(Snapshot(minute, there, running, list(waiting.values())))
        assert not set(starts.values()) & set(running.values()), "a slice twice"
        assert len(set(starts.values())) == len(starts), "a slice twice"
        for name, place in starts.items():
            assert waiting.pop(name).not_before <= minute
            assert place.name not in away
            free[place.kind] -= 1
            work = works[name]
            work.attempts += 1
            work.started, running[name] = minute, place
            heapq.heappush(endings, (minute + min(work.minutes_left, 15 if work.breaks else 1e9), work.attempts, name))
        assert min(free.values(), default=0) >= 0
        left = {kind for kind, number in free.items() if number}
        waits_beside = [
            run.name for run in waiting.values() if run.not_before <= minute and left.intersection(run.kinds)
        ]
        assert not waits_beside, "runs wait beside free slices that they could have"
        if len(waiting) > SLICES:
            used, available = used + len(running), available + len(there)
        minute += 1
    return works, used / available, minute


def test_a_day_of_a_thousand_slices_and_ten_thousand_runs():
    began = time.monotonic()
    works, used, minutes = live_through(seed=0)
    print(f"{minutes} simulated minutes in {time.monotonic() - began:.1f} s, slices used {100 * used:.1f} %")
    ended = Counter(work.ended for work in works.values())
    print({str(ending): count for ending, count in ended.items()})
    print("attempts:", sum(work.attempts for work in works.values()))
    assert sum(ended.values()) == RUNS
    assert ended[Ending.SUCCEEDED] > 0.95 * RUNS
    assert min(ended[Ending.FAILED], ended[Ending.PREEMPTED]) > 0
    assert sum(work.spent.preemptions for work in works.values()) > RUNS / 10
    for work in works.values():
        spent = work.spent
        assert work.attempts == spent.preemptions + spent.failures + (work.ended == Ending.SUCCEEDED)
        if work.ended == Ending.FAILED:
            assert work.breaks
            assert spent.failures == BUDGETS.failures + 1
        elif work.ended == Ending.PREEMPTED:
            assert spent.preemptions == BUDGETS.preemptions + 1
        else:
            assert not work.breaks
            assert work.minutes_left <= 1
        assert spent.preemptions <= BUDGETS.preemptions + 1
    assert used > 0.95, "slices stood idle while runs waited that could have had them"
