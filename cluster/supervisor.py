"""Runs one job to its final outcome, restarting it after preemptions and failures, on any slice that it may use."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

from cluster import gang, placement
from cluster.errors import UnavailableError
from cluster.outcomes import Budgets, Ended, Ending, Outcome, Spent, pause_before_retry
from cluster.process import Timeouts
from cluster.signals import Signals
from cluster.slices import Slice

_POLL_S = 0.5
_SAY_EVERY_S = 30.0


def keep_running(
    entry: str,
    config: Mapping[str, Any],
    kinds: Sequence[Slice],
    *,
    budgets: Budgets = Budgets(),  # noqa: B008 (frozen)
    timeouts: Timeouts = Timeouts(),  # noqa: B008 (frozen)
    env: Mapping[str, str] | None = None,
) -> Outcome:
    """Repeats `gang.run` until it succeeds, is cancelled, hits a program error, or a budget is spent.

    The first SIGINT or SIGTERM stops the run for good: it saves and exits.

    Args:
      entry: module:function; it must resume from where it was, and return {"stopped": true, …} if it left early.
      config: its argument.
      kinds: slice kinds it may use, best fit first; each attempt takes the first one that the cluster has.
      budgets: how many preemptions and failures are retried.
      timeouts: when an attempt is given up.
      env: additional environment variables for the processes.

    Returns:
      The outcome of the last attempt.

    Raises:
      ClusterError: as for gang.run, except that once the cluster has had such a slice, this waits for one.
    """
    spent = Spent()
    seen = False
    with Signals() as signals:
        while True:
            wanted = _there(kinds)
            if wanted is None and seen:
                wanted = _wait_for(kinds, signals)
            seen = seen or wanted is not None
            try:
                if signals.received:
                    return Outcome(Ending.CANCELLED, exit_status=128 + signals.received[0])
                outcome = gang.run(entry, config, wanted or kinds[0], env=env, timeouts=timeouts)
            except UnavailableError:
                if not seen:
                    raise
                time.sleep(_POLL_S)  # the slice left while the attempt waited for it
                continue
            spent = spent.charged(outcome.status)
            ended = Ended(outcome.status, outcome.message, final=outcome.program_error)
            pause = pause_before_retry(ended, spent, budgets)
            if pause is None:
                return dataclasses.replace(outcome, exit_status=outcome.exit_status or int(_is_bad(outcome)))
            print(
                f"{outcome.status}; goes on in {pause:.0f} s ({spent.preemptions} of {budgets.preemptions} "
                f"preemptions, {spent.failures} of {budgets.failures} failures)",
                flush=True,
            )
            until = time.monotonic() + pause
            while time.monotonic() < until and not signals.received:
                time.sleep(min(_POLL_S, pause))


def _is_bad(outcome: Outcome) -> bool:
    return outcome.status not in (Ending.SUCCEEDED, Ending.CANCELLED)


def _there(kinds: Sequence[Slice]) -> Slice | None:
    """The best-fitting kind of which the cluster has a whole slice."""
    there = {slice for slice, _ in placement.whole_slices()}
    return next((kind for kind in kinds if kind in there), None)


def _wait_for(kinds: Sequence[Slice], signals: Signals) -> Slice | None:
    """Waits until there is a slice of one of these kinds; returns None if a signal came first."""
    said = -_SAY_EVERY_S
    began = time.monotonic()
    while not signals.received:
        if (found := _there(kinds)) is not None:
            return found
        waited = time.monotonic() - began
        if waited - said > _SAY_EVERY_S:
            print(f"waiting for a whole {' or '.join(kind.name for kind in kinds)} ({waited:.0f} s)", flush=True)
            said = waited
        time.sleep(_POLL_S)
    return None
