"""A map over many files by several processes, in order."""

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
_AHEAD = 2  # chunks for each process


def ordered_map(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int | None = None
) -> Iterator[Result]:
    """Yields `function(item)` for every item, in order.

    Args:
      function: must be picklable, as must items and results.
      items: the work.
      workers: processes; by default one per core for long lists, and none (this process does the work) for short ones.
    """
    if workers is None:
        workers = (os.cpu_count() or 1) if len(items) >= _WORTH_PROCESSES else 1
    if workers <= 1:
        yield from map(function, items)
        return
    # Spawned, not forked: a forked child of a process with threads (JAX, tensorstore) can hang.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        # As the results are taken, not all at once: what has not been taken yet would fill the memory.
        pending: collections.deque[concurrent.futures.Future[list[Result]]] = collections.deque()
        for start in range(0, len(items), _CHUNK):
            pending.append(pool.submit(_each, function, items[start : start + _CHUNK]))
            if len(pending) > _AHEAD * workers:
                yield from pending.popleft().result()
        for chunk in pending:
            yield from chunk.result()


def _each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return list(map(function, items))
