"""Endless random streams of examples whose global batch is a pure function of (seed, step).

A stream is a `grain.MapDataset`: shuffled anew every epoch, repeated, and mapped with a generator that Grain seeds by
the place of the example in the stream. Batch s is the elements [s·B, (s+1)·B), whoever reads it. Host h of n reads the
h-th of n contiguous blocks of every batch, so the content *and the order* of the global batch are the same on any
number of hosts (Grain's `ElasticIterator` deals rows out in strides, which keeps only the content), and the state of
the stream is the step.
"""

import contextlib
import dataclasses
import zlib
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import grain
import numpy as np
from absl import flags

Example = Mapping[str, np.ndarray | np.generic]  # arrays by field


@dataclasses.dataclass(frozen=True)
class Stream:
    """Examples without end, and how many of them, over all hosts, one step takes."""

    dataset: grain.MapDataset
    batch_size: int


def endless(
    records: Sequence[Any], make_example: Callable[[Any, np.random.Generator], Example], *, seed: int, name: str
) -> grain.MapDataset:
    """Records in a new random order every epoch, each made into an example with a generator of its own.

    Args:
      records: random access, not empty.
      make_example: `(record, rng) -> example`, arrays of the same shapes for every record.
      seed: of the run.
      name: of the stream; streams of different names draw independently.
    """
    stream_seed = np.random.SeedSequence([seed, zlib.crc32(name.encode())]).generate_state(1)[0]
    dataset = grain.MapDataset.source(records).seed(int(stream_seed))
    return dataset.shuffle().repeat(None).random_map(make_example)


def host_batches(
    streams: Mapping[str, Stream], *, first_step: int, host: int, hosts: int, workers: int = 0, prefetch: int = 4
) -> Generator[dict[str, Example], None, None]:
    """One host's rows of the global batches of all streams, from `first_step` on.

    Args:
      streams: by name.
      first_step: the step whose batch comes first; nothing before it is read.
      host: this host's place among `hosts`; it gets rows [host·B/hosts, (host+1)·B/hosts) of each batch.
      hosts: must divide every batch size.
      workers: processes that make batches, each every `workers`-th one, while this one trains; 0 for a thread of this
        process, which is enough for some thousand examples a second and starts at once.
      prefetch: batches that are read ahead, by each worker.

    Yields:
      By stream, a batch of B/hosts examples; without end, unless a stream's data set ends.
    """
    blocks = [stream.dataset.batch(stream.batch_size // hosts, drop_remainder=True) for stream in streams.values()]
    length = min(map(len, blocks))
    mine = grain.experimental.ZipMapDataset([block[:length] for block in blocks])[first_step * hosts + host :: hosts]
    # One thread: the records are small, and more only wait for each other.
    rows = mine.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=prefetch))
    if workers:
        flags.FLAGS.mark_as_parsed()  # Grain's workers take theirs from absl, which this program does not use
        rows = rows.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=prefetch))
    with contextlib.closing(iter(rows)) as iterator:  # which ends the workers
        for row in iterator:
            yield dict(zip(streams, row, strict=True))
