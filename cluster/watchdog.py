"""Makes a process that hangs report where it hangs, and exit.

The program marks its current activity, `mark("step", 7)`, and the watchdog learns how long each activity takes. Once
one takes far longer than ever before, every thread's stack is printed, whoever watches the run is notified, and the
process exits, so that the run can be restarted. Before its first mark, or without any, a program has no time limit.

There is one watchdog per process, because it is the process that it ends.
"""

import collections
import dataclasses
import faulthandler
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable

EXIT_STATUS = 70  # of a process ended by its watchdog
COMMIT = "commit"  # the activity that a program marks while it waits for storage
_POLL_S = 0.5


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long an activity may take; limits are in seconds.

    Attributes:
      unknown: limit for activities that have not been seen often enough yet, such as the first compilation.
      least: lowest limit for known activities.
      storage: the same for those that wait for storage, named "commit": a slow disk or bucket is not a hung program,
        and the code that waits for it, such as Orbax after 600 s, knows better what is wrong.
      times: limit as a multiple of the longest duration seen, where that is more than `least`.
      seen: how often an activity must have been seen to be known.
      recent: how many of the latest durations are remembered.
      frozen: limit for a freeze of the whole process, as when native code keeps Python from running.
    """

    unknown: float = 3600.0
    least: float = 12.0
    storage: float = 900.0
    times: float = 10.0
    seen: int = 3
    recent: int = 100
    frozen: float = 60.0


@dataclasses.dataclass(frozen=True)
class Mark:
    """Where a process is: its latest mark, the `number`-th one; numbers grow alike on all hosts of a run."""

    number: int = 0
    activity: str = "start"
    step: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"in {self.activity!r} of step {self.step} for {self.seconds:.0f} s"


class Watchdog:
    """Watches a process from one of its threads.

    Args:
      patience: how long activities may take.
      hung: called once with where the process hangs and its stacks; the process ends when it returns.
      end: ends the process.
      clock: monotonic, in seconds.
    """

    def __init__(
        self,
        patience: Patience,
        hung: Callable[[Mark, str], None],
        end: Callable[[int], None] = os._exit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = patience
        self._hung = hung
        self._end = end
        self._clock = clock
        self._at = (Mark(), clock(), float("inf"))  # the mark, since when, and how long it may take
        self._durations: dict[str, collections.deque[float]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="watchdog")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        faulthandler.cancel_dump_traceback_later()

    def mark(self, activity: str, step: int) -> None:
        """Sets what the program is doing from now on; must be called alike on all hosts."""
        now = self._clock()
        last, since, _ = self._at
        recent = collections.deque[float](maxlen=self._patience.recent)
        self._durations.setdefault(last.activity, recent).append(now - since)
        self._at = (Mark(last.number + 1, activity, step), now, self.bound(activity))

    def where(self) -> Mark:
        mark, since, _ = self._at
        return dataclasses.replace(mark, seconds=self._clock() - since)

    def bound(self, activity: str) -> float:
        """Seconds that an activity may take, judging by what has been seen so far."""
        seen = self._durations.get(activity, ())
        if len(seen) < self._patience.seen:
            return self._patience.unknown
        least = self._patience.storage if activity == COMMIT else self._patience.least
        return max(least, self._patience.times * max(seen))

    def look(self) -> bool:
        """Returns whether the process hangs; if so, reports it and ends the process."""
        mark, since, bound = self._at
        seconds = self._clock() - since
        if seconds <= bound:
            return False
        faulthandler.cancel_dump_traceback_later()
        where = dataclasses.replace(mark, seconds=seconds)
        text = stacks()
        print(f"stands still {where}; every thread:\n{text}", file=sys.stderr, flush=True)
        self._hung(where, text)
        self._end(EXIT_STATUS)
        return True

    def _watch(self) -> None:
        while not self._ended.wait(_POLL_S):
            # If native code keeps this thread from running, one that needs no Python prints the stacks and exits.
            faulthandler.dump_traceback_later(self._patience.frozen, exit=True, file=2)
            if self.look():
                return


def stacks() -> str:
    """Every thread's stack, as text."""
    with tempfile.TemporaryFile("w+") as file:  # faulthandler writes to a file descriptor
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return file.read()


_current: Watchdog | None = None


def begin(patience: Patience, hung: Callable[[Mark, str], None]) -> None:
    """Starts this process's watchdog."""
    global _current
    _current = Watchdog(patience, hung)
    _current.start()


def finish() -> None:
    """Stops this process's watchdog."""
    global _current
    if _current is not None:
        _current.stop()
        _current = None


def mark(activity: str, step: int) -> None:
    """`Watchdog.mark` for this process; does nothing if it has no watchdog."""
    if _current is not None:
        _current.mark(activity, step)


def where() -> Mark | None:
    """Where this process is; None if it has no watchdog."""
    return _current.where() if _current is not None else None
