"""An ordered map over many files with several processes."""

import collections
import concurrent.futures
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_WORTH_PROCESSES = 300  # starting the processes takes about a second; a file takes milliseconds
_CHUNK = 16
_AHEAD = 2  # chunks submitted ahead, per process


def worth_processes(items: int) -> int:
    """How many processes to use for this many items: one per core for many, 1 for few."""
    return (os.cpu_count() or 1) if items >= _WORTH_PROCESSES else 1


def ordered_map(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int | None = None, chunk: int = _CHUNK
) -> Iterator[Result]:
    """Yields `function(item)` for every item, in order.

    Args:
      function: must be picklable, as must items and results.
      items: the work.
      workers: processes; by default one per core for long lists, and none (this process does the work) for short ones.
      chunk: items that a process takes at a time; use 1 if each takes seconds.
    """
    if workers is None:
        workers = worth_processes(len(items))
    if workers <= 1:
        yield from map(function, items)
        return
    # Spawned, not forked: a forked child of a process with threads (JAX, tensorstore) can hang.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        # Submitted as results are consumed, not all at once: unconsumed results would fill the memory.
        pending: collections.deque[concurrent.futures.Future[list[Result]]] = collections.deque()
        for start in range(0, len(items), chunk):
            pending.append(pool.submit(_each, function, items[start : start + chunk]))
            if len(pending) > _AHEAD * workers:
                yield from pending.popleft().result()
        for results in pending:
            yield from results.result()


def _each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return list(map(function, items))
