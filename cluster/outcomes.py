"""How a run ends, and whether it starts again: typed endings, and separate budgets for preemptions and failures."""

import dataclasses
import enum
from typing import Any


class Ending(enum.StrEnum):
    """How an attempt at a run ended, and so what is charged for it.

    SUCCEEDED  the program returned, and had not been told to leave early
    FAILED     it raised an exception, or a process of it died while its machines lived
    PREEMPTED  its machines were taken away, or told it to leave
    CANCELLED  the user took it back
    HUNG       a host of it stood still, or did not answer any more, and it was ended for that
    """

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PREEMPTED = "preempted"
    CANCELLED = "cancelled"
    HUNG = "hung"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended, on one host or as a whole, as its machines saw it.

    Attributes:
      status: see Ending; it was "cancelled" if whoever started it told it to stop.
      rank: the host that this is about; of a whole run, the host that failed first, or None.
      message: one line for the user.
      traceback: where it failed, or where it stands; or "".
      exit_status: for the process that asked for the run: 0; 128 + the signal that stopped it; or of a failure the
        `exit_status` that the exception carries, else 1.
      value: what the function returned on rank 0.
      lost: whether the process died under the program, rather than the program raising an exception.
      program_error: whether the program raised an exception that it would raise again.
      collateral: failures of other hosts that came with this one.
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
    """The end of one attempt; `final` says that another one would end alike, as after a program error or bad input."""

    ending: Ending
    message: str = ""
    final: bool = False
    value: Any = None


@dataclasses.dataclass(frozen=True)
class Budgets:
    """What a run may suffer before it is given up: so many preemptions and so many failures are made good.

    Pauses in seconds: `first_pause` before the retry after the first failure, twice that after the second, and so on up
    to `longest_pause`. After a preemption there is none.
    """

    preemptions: int = 100
    failures: int = 5
    first_pause: float = 2.0
    longest_pause: float = 600.0


@dataclasses.dataclass(frozen=True)
class Spent:
    """How many preemptions and failures a run has suffered; a hang counts as a failure."""

    preemptions: int = 0
    failures: int = 0

    def charged(self, ending: Ending) -> "Spent":
        return Spent(
            self.preemptions + (ending == Ending.PREEMPTED),
            self.failures + (ending in (Ending.FAILED, Ending.HUNG)),
        )


def pause_before_retry(ended: Ended, spent: Spent, budgets: Budgets) -> float | None:
    """Seconds after which the run may start again; None if it has ended for good.

    Args:
      ended: the attempt's end.
      spent: what the run has suffered, this end included.
      budgets: what it may suffer.
    """
    if ended.final or ended.ending in (Ending.SUCCEEDED, Ending.CANCELLED):
        return None
    if ended.ending == Ending.PREEMPTED:
        return 0.0 if spent.preemptions <= budgets.preemptions else None
    return growing_pause(spent.failures, budgets) if spent.failures <= budgets.failures else None


def growing_pause(failures: int, budgets: Budgets) -> float:
    """Seconds to pause after so many failures, at least one: doubling, up to the longest."""
    doublings = min(failures - 1, 60)  # beyond, a float would overflow
    return min(budgets.first_pause * 2.0**doublings, budgets.longest_pause)
