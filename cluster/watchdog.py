"""A process that stands still says where it stands, and ends.

The program marks what it is at, `mark("step", 7)`, and the watchdog learns how long each kind of thing takes. Once one
takes far longer than it ever has, every thread's stack is printed, whoever watches over the run is told, and the
process ends, so that the run can start anew. Before its first mark, and without any, a program may take for ever.

There is one watchdog a process, as it is the process that it ends.
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

EXIT_STATUS = 70  # of a process that its watchdog has ended
COMMIT = "commit"  # what a program marks while it waits for storage
_POLL_S = 0.5


@dataclasses.dataclass(frozen=True)
class Patience:
    """Seconds that something may take.

    Attributes:
      unknown: what has not been seen often enough yet, such as the first compilation.
      least: what is known to be fast.
      storage: what waits for storage, by the name "commit": a slow disk or bucket is not a program that stands still,
        and those who wait for it, such as Orbax after 600 s, know better what is wrong.
      times: so many times the longest that has been seen, where that is more than `least`.
      seen: how often a thing has to be seen to be known.
      recent: how many of the latest are remembered.
      frozen: the whole process, as when native code keeps Python from running.
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
    """Where a process stands: the `number`-th mark that it has set, which grows alike on all hosts of a run."""

    number: int = 0
    activity: str = "start"
    step: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"in {self.activity!r} of step {self.step} for {self.seconds:.0f} s"


class Watchdog:
    """Watches one process from a thread of it.

    Args:
      patience: how long things may take.
      hung: told, once, where the process stands and its stacks; the process ends when it returns.
      end: ends the process.
      clock: seconds, growing.
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
        self._at = (Mark(), clock(), float("inf"))  # since when, and how long it may take
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
        """Says what the program is at from now on; to be called alike on all hosts."""
        now = self._clock()
        last, since, _ = self._at
        recent = collections.deque[float](maxlen=self._patience.recent)
        self._durations.setdefault(last.activity, recent).append(now - since)
        self._at = (Mark(last.number + 1, activity, step), now, self.bound(activity))

    def where(self) -> Mark:
        mark, since, _ = self._at
        return dataclasses.replace(mark, seconds=self._clock() - since)

    def bound(self, activity: str) -> float:
        """Seconds that this may take, as far as is known by now."""
        seen = self._durations.get(activity, ())
        if len(seen) < self._patience.seen:
            return self._patience.unknown
        least = self._patience.storage if activity == COMMIT else self._patience.least
        return max(least, self._patience.times * max(seen))

    def look(self) -> bool:
        """Whether the process stands still; then it has been told, and the process ended."""
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
            # Should native code keep this thread from running, one that needs no Python prints the stacks and exits.
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
    """Ends it."""
    global _current
    if _current is not None:
        _current.stop()
        _current = None


def mark(activity: str, step: int) -> None:
    """`Watchdog.mark` of this process; nothing happens where it has none."""
    if _current is not None:
        _current.mark(activity, step)


def where() -> Mark | None:
    """Where this process stands; None where it has no watchdog."""
    return _current.where() if _current is not None else None
