"""Decides which run starts where: a pure function of a snapshot."""

import dataclasses
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet


@dataclasses.dataclass(frozen=True)
class Place:
    """What one run at a time can occupy: a slice of a cluster, or a device of this machine.

    Attributes:
      name: unique among the places of its kind.
      kind: the slice's official name, such as "v2-32"; or "device".
      environment: environment variables for the process of a run started there.
    """

    name: str
    kind: str
    environment: tuple[tuple[str, str], ...] = dataclasses.field(default=(), compare=False)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclasses.dataclass(frozen=True)
class Waiting:
    """A waiting run.

    Attributes:
      name: unique.
      kinds: kinds of places that it may use, best fit first.
      position: its position in the queue, unique.
      priority: larger goes first.
      not_before: when its pause is over, in the snapshot's time.
      shuns: the place where it has just failed, which it may not use while the cluster has another one of its kinds.
    """

    name: str
    kinds: Sequence[str]
    position: int
    priority: int = 0
    not_before: float = 0.0
    shuns: Place | None = None


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Everything that the policy looks at.

    Attributes:
      now: seconds.
      places: all existing places, taken or free.
      running: by name of each running run, its place, which may already be gone from `places`.
      waiting: in any order.
      resting: places not to be used for now.
    """

    now: float
    places: Sequence[Place]
    running: Mapping[str, Place]
    waiting: Sequence[Waiting]
    resting: AbstractSet[Place] = frozenset()


def plan(snapshot: Snapshot) -> dict[str, Place]:
    """Decides which waiting runs start now, and where.

    Runs are served by priority, then by position, each with the best-fitting kind of place that is free. So

    * no place is assigned twice,
    * a run is passed over only while no place that it may use is free, and no longer than that: a place that becomes
      free goes to the first run that may use it. So a run can be overtaken only by runs that take what it cannot use,
      and can be starved only by runs of higher priority,
    * a run for which a small place is enough leaves a larger one free as long as a small one is free,
    * no place stays free while a run is waiting that may use it and has not just failed there.

    Running runs are left alone, whatever is waiting. A preempted run keeps its position, so it is first in line.
    """
    taken = {*snapshot.running.values(), *snapshot.resting}
    free: dict[str, list[Place]] = {}
    for place in reversed(dict.fromkeys(snapshot.places)):
        if place not in taken:
            free.setdefault(place.kind, []).append(place)
    starts: dict[str, Place] = {}
    if not free:
        return starts
    able = [
        run
        for run in snapshot.waiting
        if run.not_before <= snapshot.now and not free.keys().isdisjoint(run.kinds) and run.name not in snapshot.running
    ]
    for run in sorted(able, key=lambda run: (-run.priority, run.position)):
        chosen = _choose(run, free, snapshot.places)
        if chosen is not None:
            starts[run.name] = chosen
            free[chosen.kind].remove(chosen)
            if not any(free.values()):
                break
    return starts


def _choose(run: Waiting, free: Mapping[str, Sequence[Place]], places: Sequence[Place]) -> Place | None:
    """A free place of the best-fitting kind, except the one that the run shuns, provided that there is another."""
    shuns = run.shuns
    if shuns and not any(place.kind in run.kinds and place != shuns for place in places):
        shuns = None
    for kind in run.kinds:
        for place in reversed(free.get(kind, ())):
            if place != shuns:
                return place
    return None
