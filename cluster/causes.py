"""Finds the root cause of a failed run among all observed failures, and which of them only followed from it."""

import dataclasses
from collections.abc import Collection, Mapping

from cluster.outcomes import Ending, Outcome


def first_cause(ended: Collection[Outcome], silent: Mapping[int, float], stands: Mapping[int, int]) -> Outcome:
    """The outcome that explains the others, which become its `collateral`.

    In order, from the surest sign to the least certain:

    * a host that does not answer at all: other hosts are aborted because of it, or wait for it,
    * a process that died: connections to it break elsewhere. Of several, rank 0: it coordinates and takes all down,
    * an exception of the program, the first one seen,
    * of the processes that are alive but hang, the one that has made least progress: the others wait for it,
    * an XLA error, which may only report a broken connection.

    Args:
      ended: the failures, in the order in which they were seen.
      silent: by rank, the seconds for which a host has not answered.
      stands: by rank, how far the program has got on the hosts that are alive, as its number of marks.
    """
    failures = [outcome for outcome in ended if outcome.status in (Ending.FAILED, Ending.HUNG)]
    for rank, seconds in silent.items():
        message = f"its process has not answered for {seconds:.0f} s"
        failures.insert(0, Outcome(Ending.HUNG, rank, message, exit_status=1, lost=True))
    hung = [outcome for outcome in failures if outcome.status == Ending.HUNG]
    if hung and not silent:
        failures += _least_far(hung, stands)
    first = min(failures, key=lambda outcome: _place_in_line(outcome, stands))
    others = tuple(outcome for outcome in failures if outcome.rank != first.rank)
    return dataclasses.replace(first, collateral=others)


def _place_in_line(outcome: Outcome, stands: Mapping[int, int]) -> tuple[int, int]:
    if outcome.status == Ending.HUNG and outcome.lost:
        return 0, 0
    if outcome.lost:
        return 1, outcome.rank != 0
    if outcome.program_error:
        return 2, 0
    if outcome.status == Ending.HUNG:
        return 3, stands.get(outcome.rank or 0, 0)
    return 4, 0


def _least_far(hung: Collection[Outcome], stands: Mapping[int, int]) -> list[Outcome]:
    """The hosts that all others wait for, if they have not yet noticed themselves that they hang."""
    reported = {outcome.rank for outcome in hung if outcome.rank is not None}
    least = min(stands.values(), default=0)
    farther = min((stands[rank] for rank in reported & stands.keys()), default=least)
    return [
        Outcome(Ending.HUNG, rank, "stands still, and the others wait for it", exit_status=1)
        for rank, number in stands.items()
        if number == least < farther and rank not in reported
    ]
