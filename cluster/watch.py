"""Watches the hosts of a run until it ends, and determines what ended it."""

import dataclasses
import time
from collections.abc import Iterable, Sequence
from typing import Any

import ray
from ray.exceptions import RayError

from cluster.causes import first_cause
from cluster.host import CONTROL, Report
from cluster.outcomes import Ending, Outcome
from cluster.process import Timeouts
from cluster.signals import Signals

_POLL_S = 0.5
_SETTLE_S = 1.0  # after the first sign of trouble, at least
_STACKS_S = 5.0


@dataclasses.dataclass
class _Watched:
    """A host whose program has not ended: the program's pending call, the pending question, and the last answer.

    Times are monotonic; `answered` is that of the last answer, `asked` that of the pending question.
    """

    actor: Any
    running: ray.ObjectRef
    question: ray.ObjectRef | None = None
    asked: float = 0.0
    answered: float = 0.0
    report: Report = Report(None, None)  # noqa: RUF009 (frozen)

    def ask(self, now: float) -> None:
        self.question = self.actor.report.options(concurrency_group=CONTROL).remote()
        self.asked = now

    def silent_for(self, now: float) -> float:
        return now - self.asked if self.question is not None else 0.0


class Watch:
    """The hosts of one run, by rank.

    Args:
      hosts: Ray actors of `Host`, by rank, just created.
      entry: what they run.
      config: its argument, as JSON.
      timeouts: when to give up.
    """

    def __init__(self, hosts: Sequence[Any], entry: str, config: str, timeouts: Timeouts) -> None:
        self._hosts = hosts
        self._timeouts = timeouts
        self._began = self._looked = time.monotonic()
        self._watched = {
            rank: _Watched(host, host.run.remote(entry, config, hosts[0], timeouts)) for rank, host in enumerate(hosts)
        }
        self._ended: list[Outcome] = []

    def until_ended(self, signals: Signals, grace_s: float) -> Outcome:
        """Waits for all hosts to end, or for the first sign of trouble; forwards the first signal as a stop.

        Returns:
          The first cause of the trouble, or else rank 0's outcome.

        Raises:
          Stopped: the hosts did not stop within `grace_s`, or there was a second signal.
        """
        stop_by = float("inf")
        while self._watched and not self._in_trouble():
            if signals.received and stop_by == float("inf"):
                print(f"stopping: the hosts have {grace_s:.0f} s to save and leave; once more kills them", flush=True)
                stop_by = time.monotonic() + grace_s
                for host in self._hosts:
                    host.stop.options(concurrency_group=CONTROL).remote()
            if len(signals.received) > 1 or time.monotonic() > stop_by:
                raise Stopped(f"killed before {named(self._watched)} had returned")
            self._look()
        if not self._in_trouble():
            return next(outcome for outcome in self._ended if outcome.rank == 0)
        self._settle()
        return self._cause()

    def _look(self) -> None:
        """Collects endings and answers, waiting briefly for them, and asks again."""
        now = time.monotonic()
        if now - self._looked > self._timeouts.silence / 2:  # it was this process that stalled
            for watched in self._watched.values():
                watched.asked = now
        self._looked = now
        of = {watched.running: rank for rank, watched in self._watched.items()}
        of |= {watched.question: rank for rank, watched in self._watched.items() if watched.question is not None}
        done, _ = ray.wait(list(of), timeout=_POLL_S)
        more, _ = ray.wait(list(of), num_returns=len(of), timeout=0)
        for reference in {*done, *more}:
            rank = of[reference]
            if rank not in self._watched:  # its end came together with an answer
                continue
            watched = self._watched[rank]
            if reference is watched.running:
                self._ended.append(_outcome_of(reference, rank))
                del self._watched[rank]
            else:
                watched.question = None
                try:
                    watched.report, watched.answered = ray.get(reference), time.monotonic()
                except RayError:  # its end will follow
                    continue
        for watched in self._watched.values():
            if watched.question is None and time.monotonic() - watched.asked > 2 * _POLL_S:
                watched.ask(time.monotonic())

    def _silent(self) -> dict[int, float]:
        """By rank, for how many seconds an overdue host has not answered; before its first answer it is starting."""
        now = time.monotonic()
        return {
            rank: watched.silent_for(now)
            for rank, watched in self._watched.items()
            if watched.silent_for(now) > (self._timeouts.silence if watched.answered else self._timeouts.initialization)
        }

    def _in_trouble(self) -> bool:
        failed = any(outcome.status in (Ending.FAILED, Ending.HUNG) for outcome in self._ended)
        return failed or bool(self._silent()) or any(watched.report.hung for watched in self._watched.values())

    def _settle(self) -> None:
        """Waits until every remaining host has answered once more, ended, or been silent too long.

        If the only failure may be the consequence of another host's, it waits the full time, as Ray needs some seconds
        to notice that a machine has gone.
        """
        began = time.monotonic()
        while self._watched and time.monotonic() - began < self._timeouts.silence + _SETTLE_S:
            self._look()
            silent = self._silent()
            answered = all(rank in silent or watched.answered > began for rank, watched in self._watched.items())
            failures = [outcome for outcome in self._ended if outcome.status in (Ending.FAILED, Ending.HUNG)]
            known = not failures or any(outcome.lost or outcome.program_error for outcome in failures)
            if answered and known and time.monotonic() - began > _SETTLE_S:
                return

    def _cause(self) -> Outcome:
        reports = {rank: watched.report for rank, watched in self._watched.items()}
        silent = self._silent()
        hung = [report.hung for rank, report in reports.items() if report.hung and rank not in silent]
        stands = {rank: report.mark.number for rank, report in reports.items() if report.mark and rank not in silent}
        cause = first_cause([*self._ended, *hung], silent, stands)
        if cause.status == Ending.HUNG and not cause.lost and not cause.traceback and cause.rank is not None:
            mark = reports[cause.rank].mark
            message = f"stands still {mark}, and the others wait for it"
            return dataclasses.replace(cause, message=message, traceback=self._stacks(cause.rank))
        return cause

    def _stacks(self, rank: int) -> str:
        reference = self._hosts[rank].stacks.options(concurrency_group=CONTROL).remote()
        try:
            return str(ray.get(reference, timeout=_STACKS_S))
        except RayError:  # its process has gone in the meantime
            return ""


def _outcome_of(reference: ray.ObjectRef, rank: int) -> Outcome:
    try:
        outcome: Outcome = ray.get(reference)
    except RayError as error:
        return Outcome(Ending.FAILED, rank, "its process died", traceback=str(error), exit_status=1, lost=True)
    return outcome


def named(ranks: Iterable[int | None]) -> str:
    """Names hosts for a message."""
    numbers = sorted(rank for rank in ranks if rank is not None)
    return f"host{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


class Stopped(Exception):
    """The run was stopped before it began, or was killed because it did not stop."""
