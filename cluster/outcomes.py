"""How a run ends, and whether it is restarted: typed endings, and separate budgets for preemptions and failures."""

import dataclasses
import enum
from typing import Any


class Ending(enum.StrEnum):
    """How an attempt at a run ended, which determines what is charged for it.

    SUCCEEDED  the program returned, and had not been told to leave early
    FAILED     it raised an exception, or one of its processes died while its machines stayed up
    PREEMPTED  its machines were taken away, or told it to leave
    CANCELLED  the user cancelled it
    HUNG       one of its hosts hung or no longer answered, and the attempt was ended for that
    """

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PREEMPTED = "preempted"
    CANCELLED = "cancelled"
    HUNG = "hung"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended, on one host or as a whole, as seen by its machines.

    Attributes:
      status: see Ending; "cancelled" if whoever started the run told it to stop.
      rank: the host concerned; for a whole run, the host that failed first, or None.
      message: one line for the user.
      traceback: where it failed or hangs; or "".
      exit_status: for the process that requested the run: 0; 128 + the signal that stopped it; or, for a failure, the
        `exit_status` that the exception carries, else 1.
      value: what the function returned on rank 0.
      lost: whether the process itself died, rather than the program raising an exception.
      program_error: whether the program raised an exception that it would raise again on a retry.
      collateral: failures of other hosts that accompanied this one.
    """

    status: Ending
    rank: int | None = None
    message: str = ""
    traceback: str = ""
    exit_status: int = 0
    value: Any = None
    lost: bool = False
    program_error: bool = False
    collateral: tuple["Outcome", ...] = ()


@dataclasses.dataclass(frozen=True)
class Ended:
    """The end of one attempt; `final` means that another would end alike, as after a program error or bad input."""

    ending: Ending
    message: str = ""
    final: bool = False
    value: Any = None


@dataclasses.dataclass(frozen=True)
class Budgets:
    """How many preemptions and how many failures of a run are retried before it is given up.

    Pauses are in seconds: `first_pause` before the retry after the first failure, twice that after the second, and so
    on up to `longest_pause`. After a preemption there is no pause.
    """

    preemptions: int = 100
    failures: int = 5
    first_pause: float = 2.0
    longest_pause: float = 600.0


@dataclasses.dataclass(frozen=True)
class Spent:
    """How many preemptions and failures a run has had; a hang counts as a failure."""

    preemptions: int = 0
    failures: int = 0

    def charged(self, ending: Ending) -> "Spent":
        return Spent(
            self.preemptions + (ending == Ending.PREEMPTED),
            self.failures + (ending in (Ending.FAILED, Ending.HUNG)),
        )


def pause_before_retry(ended: Ended, spent: Spent, budgets: Budgets) -> float | None:
    """Seconds after which the run may be restarted; None if it has ended for good.

    Args:
      ended: the attempt's end.
      spent: the preemptions and failures so far, including this end.
      budgets: how many of them are allowed.
    """
    if ended.final or ended.ending in (Ending.SUCCEEDED, Ending.CANCELLED):
        return None
    if ended.ending == Ending.PREEMPTED:
        return 0.0 if spent.preemptions <= budgets.preemptions else None
    return growing_pause(spent.failures, budgets) if spent.failures <= budgets.failures else None


def growing_pause(failures: int, budgets: Budgets) -> float:
    """Seconds to pause after `failures` failures, at least one: doubling each time, up to `longest_pause`."""
    doublings = min(failures - 1, 60)  # beyond that, a float would overflow
    return min(budgets.first_pause * 2.0**doublings, budgets.longest_pause)
