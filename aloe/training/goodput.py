"""How a run's time was spent, over all its restarts, from events.jsonl alone.

Goodput is the share of time spent on steps that still count. The rest is badput, by cause:

    init         from the start of the program to the first step, except the following
    restore      reading a checkpoint
    compile      the first step of every start
    input        waiting for a batch
    host         what a host does between steps, such as writing metrics
    save         copying the state
    commit       waiting until a save is complete, before the next one and at the end
    evaluation   scoring the validation split
    lost         steps that had to be repeated after a crash
    down         from an attempt's last event to the start of the next one: unlogged steps, a new slice, new processes

Hosts advance in lockstep, so host 0's seconds are the run's. But where another host waits longer for its batch, or does
more between steps, host 0 waits for it within the step; that time is moved from the step to its cause.
"""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath
from tabulate import tabulate

from aloe.errors import InputError
from aloe.training import clock, workdir
from aloe.training.log import read_events

LOST, DOWN = "lost", "down"
CAUSES = (*(activity for activity in clock.ACTIVITIES if activity != clock.STEP), LOST, DOWN)
OWN = (clock.INPUT, clock.HOST)  # what a host does for a step before it joins the others
STRAGGLES = 2.0  # multiple of the median over all hosts
NOTICEABLE = 0.1  # fraction of the step time, for what a host does by itself


@dataclasses.dataclass(frozen=True)
class Goodput:
    """Seconds by cause.

    Attributes:
      steps: seconds in steps that count.
      badput: seconds by cause; see the module docstring.
      attempts: how often the run was started.
      taken: number of steps that count.
    """

    steps: float
    badput: Mapping[str, float]
    attempts: int
    taken: int

    @property
    def total(self) -> float:
        return self.steps + sum(self.badput.values())


@dataclasses.dataclass(frozen=True)
class HostSpeed:
    """One host's speed, over all intervals in which the run had as many hosts as in the last one.

    Attributes:
      step: seconds per step in each interval, including waiting for the others.
      own: seconds per step in each interval, by what the host does before it joins the others.
      probe: seconds for a fixed piece of work on one of its devices, in each interval.
      straggles: what the host is slow at, or "".
    """

    step: Sequence[float]
    own: Mapping[str, Sequence[float]]
    probe: Sequence[float]
    straggles: str = ""


def goodput(events: Sequence[Mapping[str, Any]]) -> Goodput:
    """Adds up the events of a run."""
    starts = [place for place, event in enumerate(events) if event["event"] == "start"]
    seconds = dict.fromkeys(CAUSES, 0.0)
    steps = 0.0
    reached = 0
    for number, (begin, end) in enumerate(zip(starts, [*starts[1:], len(events)], strict=True)):
        attempt = events[begin:end]
        # The earliest step that a later attempt resumed from: any of them may have gone back further than the next.
        kept = min((events[later]["step"] for later in starts[number + 1 :]), default=float("inf"))
        done = attempt[0]["step"]
        for event in attempt:
            if event["event"] != "times":
                continue
            spent = _of_all(event["hosts"])
            for activity in clock.ACTIVITIES:
                if activity != clock.STEP:
                    seconds[activity] += spent.get(activity, 0.0)  # a run may have begun before the activity existed
            taken = event["step"] - done
            counts = min(1.0, max(0.0, (kept - done) / taken)) if taken else 1.0
            steps += counts * spent[clock.STEP]
            seconds[LOST] += (1 - counts) * spent[clock.STEP]
            done = event["step"]
        reached = int(min(done, kept))
        if number and events[begin - 1]["event"] != "end":
            # An attempt's clock started before its first event.
            heard = max(event["time"] for event in events[starts[number - 1] : begin])
            first = next((event for event in attempt if event["event"] == "times"), None)
            before = sum(first["hosts"][0][name] for name in (clock.INIT, clock.RESTORE)) if first else 0.0
            seconds[DOWN] += max(0.0, attempt[0]["time"] - before - heard)
    return Goodput(steps, seconds, len(starts), reached)


def _of_all(hosts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Host 0's seconds in an interval; what its steps waited for a slower host is charged to that host's activity."""
    spent = dict(hosts[0])
    for name in OWN:
        waited = min(max(host[name] for host in hosts) - hosts[0][name], spent[clock.STEP])
        spent[name] += waited
        spent[clock.STEP] -= waited
    return spent


def host_speeds(events: Sequence[Mapping[str, Any]]) -> list[HostSpeed]:
    """Every host's speed, by rank, with the stragglers marked."""
    intervals: list[tuple[int, Sequence[Mapping[str, float]]]] = []
    done = 0
    for event in events:
        if event["event"] == "start":
            done = event["step"]
        elif event["event"] == "times":
            intervals += [(event["step"] - done, event["hosts"])] if event["step"] > done else []
            done = event["step"]
    if not intervals:
        return []
    hosts = len(intervals[-1][1])
    counted = [(taken, rows) for taken, rows in intervals if len(rows) == hosts]
    speeds = [
        HostSpeed(
            step=[sum(rows[rank][name] for name in (clock.STEP, *OWN)) / taken for taken, rows in counted],
            own={name: [rows[rank][name] / taken for taken, rows in counted] for name in OWN},
            probe=[rows[rank]["probe"] for _, rows in counted],
        )
        for rank in range(hosts)
    ]
    return [dataclasses.replace(speed, straggles=_straggles(speed, speeds)) for speed in speeds]


def _straggles(speed: HostSpeed, all_hosts: Sequence[HostSpeed]) -> str:
    """What a host is slow at, compared with the median of all hosts; nothing if there are fewer than three."""
    if len(all_hosts) < 3:  # the median of two lies halfway between them
        return ""
    slow = []
    for name in OWN:
        others = _median([each.own[name] for each in all_hosts])
        if statistics.mean(speed.own[name]) > max(STRAGGLES * others, NOTICEABLE * statistics.mean(speed.step)):
            slow.append(name)
    if statistics.mean(speed.probe) > STRAGGLES * _median([each.probe for each in all_hosts]):
        slow += ["device"]
    return " and ".join(slow)


def _median(of_hosts: Sequence[Sequence[float]]) -> float:
    return statistics.median(map(statistics.mean, of_hosts))


def report(folder: epath.Path) -> str:
    """The goodput of the run in a workdir, as text.

    Raises:
      InputError: there is no run, or it has not reached its first report yet.
    """
    events = list(read_events(folder))
    if not any(event["event"] == "times" for event in events):
        raise InputError(f"{folder / workdir.EVENTS}: no times yet; wait for config.training.log_every steps.")
    result = goodput(events)
    rows = [("goodput: steps that count", result.steps), *((f"  {cause}", result.badput[cause]) for cause in CAUSES)]
    shares = [(name, f"{seconds:.1f}", f"{100 * seconds / result.total:.1f} %") for name, seconds in rows]
    lines = [
        f"{folder}: {result.taken} steps in {result.total:.0f} s, {result.attempts} start{'s' * (result.attempts > 1)}",
        tabulate(shares, headers=["", "seconds", "share"], colalign=("left", "right", "right"), disable_numparse=True),
    ]
    speeds = host_speeds(events)
    if speeds:
        milliseconds = [
            (
                rank,
                _spread(speed.step),
                f"{1e3 * max(speed.step):.1f}",
                *(_spread(speed.own[name]) for name in OWN),
                _spread(speed.probe),
                f"straggles: {speed.straggles}" if speed.straggles else "",
            )
            for rank, speed in enumerate(speeds)
        ]
        headers = ["host", "ms a step", "slowest", *(f"of it {name}" for name in OWN), "probe", ""]
        lines += ["", tabulate(milliseconds, headers=headers, disable_numparse=True)]
    return "\n".join(lines)


def _spread(seconds: Sequence[float]) -> str:
    return f"{1e3 * statistics.mean(seconds):.1f} ± {1e3 * statistics.pstdev(seconds):.1f}"
