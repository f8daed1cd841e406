"""Where a run's time goes: what each host is doing, for the watchdog and for the goodput report."""

import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

# What a host can be doing; all hosts go through the same activities in the same order.
INIT, RESTORE, COMPILE = "init", "restore", "compile"
INPUT, STEP, HOST = "input", "step", "host"  # HOST is its own work between steps, such as writing metrics
SAVE, COMMIT, EVALUATION = "save", "commit", "evaluation"  # copying what is saved; waiting until it is written
ACTIVITIES = (INIT, RESTORE, COMPILE, INPUT, STEP, HOST, SAVE, COMMIT, EVALUATION)
_PROBE_SIZE, _PROBES = 128, 3


class Clock:
    """Accumulates seconds by activity.

    Args:
      mark: called with the activity and the step whenever a new activity begins; provided by a watchdog.
    """

    def __init__(self, mark: Callable[[str, int], None]) -> None:
        self._mark = mark
        self._activity = INIT
        self._since = time.monotonic()
        self._seconds = dict.fromkeys(ACTIVITIES, 0.0)
        self._work = jax.jit(_fixed_work)

    def at(self, activity: str, step: int) -> None:
        """Switches to an activity, at a step."""
        self._turn()
        self._activity = activity
        self._mark(activity, step)

    def take(self, step: int) -> list[Mapping[str, float]]:
        """Seconds by activity since the last call, for every host, by rank; all hosts must call it.

        They include "probe": seconds for a fixed piece of work on one device of the host. Hosts wait for each other in
        every step, so no other number reveals a slow chip.
        """
        self.at(STEP, step)  # from here on it waits for the other hosts, as in a step
        mine = np.array([*self._seconds.values(), self._probe()])
        self._seconds = dict.fromkeys(ACTIVITIES, 0.0)
        rows = multihost_utils.process_allgather(mine) if jax.process_count() > 1 else mine[None]
        return [dict(zip((*ACTIVITIES, "probe"), map(float, row), strict=True)) for row in rows]

    def _turn(self) -> None:
        now = time.monotonic()
        self._seconds[self._activity] += now - self._since
        self._since = now

    def _probe(self) -> float:
        """The median of a few runs, as the first one compiles."""
        x = jnp.ones((_PROBE_SIZE, _PROBE_SIZE))
        durations = []
        for _ in range(_PROBES):
            began = time.perf_counter()
            self._work(x).block_until_ready()
            durations.append(time.perf_counter() - began)
        return float(np.median(durations))


def _fixed_work(x: jax.Array) -> jax.Array:
    return jax.lax.fori_loop(0, 64, lambda _, y: y @ x / _PROBE_SIZE, x)
