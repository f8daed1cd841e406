"""Endless random streams of examples whose global batch is a pure function of (seed, step).

A stream is a `grain.MapDataset`: reshuffled every epoch, repeated, and mapped with a generator that Grain seeds by the
example's position in the stream. Batch s consists of elements [s·B, (s+1)·B), whoever reads it. Host h of n reads the
h-th of n contiguous blocks of every batch, so the content *and the order* of the global batch are the same on any
number of hosts (Grain's `ElasticIterator` deals out rows in strides, which preserves only the content), and the state
of the stream is the step.
"""

import contextlib
import dataclasses
import multiprocessing
import os
import threading
import zlib
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import grain
import numpy as np
from absl import flags

Example = Mapping[str, np.ndarray | np.generic]  # arrays by field


@dataclasses.dataclass(frozen=True)
class Stream:
    """An endless data set of examples, and how many of them one step takes over all hosts."""

    dataset: grain.MapDataset
    batch_size: int


def endless(
    records: Sequence[Any], make_example: Callable[[Any, np.random.Generator], Example], *, seed: int, name: str
) -> grain.MapDataset:
    """Returns records in a new random order every epoch, each made into an example with its own generator.

    Args:
      records: random-access, not empty.
      make_example: `(record, rng) -> example`, arrays of the same shapes for every record.
      seed: the run's seed.
      name: the stream's name; streams with different names draw independently.
    """
    stream_seed = np.random.SeedSequence([seed, zlib.crc32(name.encode())]).generate_state(1)[0]
    dataset = grain.MapDataset.source(records).seed(int(stream_seed))
    return dataset.shuffle().repeat(None).random_map(make_example)


def host_batches(
    streams: Mapping[str, Stream], *, first_step: int, host: int, hosts: int, workers: int = 0, prefetch: int = 4
) -> Generator[dict[str, Example], None, None]:
    """Yields one host's rows of the global batches of all streams, starting at `first_step`.

    Args:
      streams: by name.
      first_step: the step whose batch comes first; nothing before it is read.
      host: this host's index among `hosts`; it gets rows [host·B/hosts, (host+1)·B/hosts) of each batch.
      hosts: must divide every batch size.
      workers: processes that make batches while this one trains, each of them every `workers`-th batch; 0 for a thread
        of this process, which is enough for a few thousand examples per second and starts at once.
      prefetch: batches that each worker reads ahead.

    Yields:
      A batch of B/hosts examples by stream; endlessly, unless a stream's data set ends.
    """
    blocks = [stream.dataset.batch(stream.batch_size // hosts, drop_remainder=True) for stream in streams.values()]
    length = min(map(len, blocks))
    mine = grain.experimental.ZipMapDataset([block[:length] for block in blocks])[first_step * hosts + host :: hosts]
    # One thread: the records are small, and more threads would only wait for each other.
    rows = mine.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=prefetch))
    if workers:
        flags.FLAGS.mark_as_parsed()  # Grain's workers read absl's flags, which this program does not use
        options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=prefetch)
        rows = rows.mp_prefetch(options, _end_with_parent)
    with contextlib.closing(iter(rows)) as iterator:  # closing it ends the workers
        for row in iterator:
            yield dict(zip(streams, row, strict=True))


def _end_with_parent(worker: int, workers: int) -> None:
    """Ends a worker when its parent process is gone, even by kill −9; Grain's workers would wait forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker is a process that multiprocessing started"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end with parent").start()
