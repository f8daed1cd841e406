"""A batch is a pure function of (seed, step), no matter which host reads it and at which step reading begins."""

import contextlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from aloe.data.streams import Stream, endless, host_batches
from tests.waiting import wait_for

RECORDS = list(range(37))


def example(record, rng):
    return {"record": np.int64(record), "draw": rng.random()}


def streams(seed=3, batch=8):
    return {
        name: Stream(endless(RECORDS, example, seed=seed, name=name), batch) for name in ("supervised", "unsupervised")
    }


def global_batches(hosts, steps=7, first_step=0, **options):
    """Yields global batches, assembled from the rows of all hosts in host order."""
    readers = [host_batches(streams(**options), first_step=first_step, host=h, hosts=hosts) for h in range(hosts)]
    for _ in range(steps):
        rows = [next(reader) for reader in readers]
        yield {
            (name, field): np.concatenate([row[name][field] for row in rows])
            for name in rows[0]
            for field in rows[0][name]
        }


def assert_same(one, other):
    for a, b in itertools.zip_longest(one, other):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("hosts", [2, 4, 8])
def test_content_and_order_are_the_same_on_any_number_of_hosts(hosts):
    assert_same(global_batches(1), global_batches(hosts))


def test_a_reader_that_begins_at_a_step_reads_what_an_uninterrupted_one_reads_there():
    assert_same(itertools.islice(global_batches(2), 4, None), global_batches(4, steps=3, first_step=4))


def test_an_epoch_has_every_record_once_and_the_next_another_order():
    dataset = streams()["supervised"].dataset
    epochs = [[int(dataset[epoch * len(RECORDS) + i]["record"]) for i in range(len(RECORDS))] for epoch in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == RECORDS
    assert epochs[0] != epochs[1]


def test_streams_and_seeds_draw_independently():
    batch = next(global_batches(1, batch=32))
    assert not np.array_equal(batch["supervised", "record"], batch["unsupervised", "record"])
    other = next(global_batches(1, batch=32, seed=4))
    assert not np.array_equal(batch["supervised", "record"], other["supervised", "record"])
    assert not np.intersect1d(batch["supervised", "draw"], other["supervised", "draw"]).size


def test_the_same_record_draws_anew_every_time_it_comes_up():
    dataset = endless(["only"], lambda record, rng: {"draw": rng.random()}, seed=0, name="x")
    assert len({float(dataset[i]["draw"]) for i in range(50)}) == 50


def test_processes_make_the_batches_that_a_thread_makes():
    options = {"first_step": 3, "host": 1, "hosts": 2}
    with contextlib.closing(host_batches(streams(), workers=2, **options)) as made:
        for one, other in itertools.islice(zip(made, host_batches(streams(), **options), strict=True), 5):
            assert one.keys() == other.keys()
            for name in one:
                assert_same([one[name]], [other[name]])


KILLED = """
import sys
from tests.data.test_streams import host_batches, streams

if __name__ == "__main__":
    batches = host_batches(streams(), first_step=0, host=0, hosts=1, workers=2)
    next(batches)
    print("reading", flush=True)
    sys.stdin.read()
"""


def test_workers_end_when_the_process_that_they_work_for_is_killed(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, str(script)], **pipes, text=True, env=environment)
    assert process.stdout.readline() == "reading\n"
    children = psutil.Process(process.pid).children(recursive=True)
    assert sum("spawn_main" in " ".join(child.cmdline()) for child in children) == 2
    process.kill()
    process.wait()
    try:
        wait_for(lambda: not any(map(runs, children)), 60)
    finally:
        for child in filter(runs, children):
            child.kill()
        process.stdin.close()
        process.stdout.close()


def runs(process):
    """Whether the process is running; one that has ended stays a zombie if nobody asks for its exit status."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
