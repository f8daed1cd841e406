"""A run whose workdir is in a bucket: nothing is lost if it dies, and its result is bit-identical to one on a disk."""

import functools
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from etils import epath
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from aloe.training import goodput, growing, workdir
from aloe.training.checkpoints import BROKEN
from aloe.training.log import RunLog, read_events, read_metrics
from aloe.training.loop import train
from tests.training.test_loop import final_state, never, settings
from tests.training.toy import Toy

ROOT = Path(__file__).parents[2]
RUN = "gs://fake/runs/one"


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    resolved = settings(tmp_path_factory.mktemp("on_disk"))
    train(Toy(noise=0.1), resolved, never)
    return resolved


def begun(bucket, client, *argv):
    """Starts tests/training/bucket_run.py as a process."""
    command = [sys.executable, "-m", "tests.training.bucket_run", client, bucket.url, RUN, *map(str, argv)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, stderr=subprocess.PIPE, text=True)


def losses(resolved):
    records = read_metrics(epath.Path(resolved.workdir) / workdir.METRICS)
    return [(record["step"], record["loss"]) for record in records if "loss" in record]


def assert_same_run(resolved, other):
    # Each start averages over its own steps, so the loss of an interval that was split between two starts differs.
    assert [step for step, _ in losses(resolved)] == [step for step, _ in losses(other)]
    jax.tree.map(np.testing.assert_array_equal, final_state(resolved), final_state(other))


def scalars(bucket, folder):
    """(step, value) of the loss, as TensorBoard reads it from the objects of the run."""
    for name in bucket.names("runs/one/tensorboard/"):
        (folder / Path(name).name).write_bytes(bucket.objects[name].content)
    events = EventAccumulator(str(folder)).Reload()
    return [(scalar.step, scalar.value) for scalar in events.Scalars("loss")]


def replaced_too_soon(bucket):
    """Names of objects written twice within a second, which a real bucket refuses."""
    pairs = {name: itertools.pairwise(times) for name, times in bucket.writes.items()}
    return {name for name, each in pairs.items() if any(later - former < 1 for former, later in each)}


@pytest.mark.slow
def test_a_run_in_a_bucket_is_the_run_on_a_disk(bucket, on_disk, tmp_path):
    resolved = settings(RUN)
    train(Toy(noise=0.1), resolved, never)
    assert_same_run(resolved, on_disk)
    assert losses(resolved) == losses(on_disk)
    np.testing.assert_allclose(scalars(bucket, tmp_path), losses(on_disk), rtol=1e-6)
    assert "12 steps" in goodput.report(epath.Path(RUN))
    assert not {name for name in replaced_too_soon(bucket) if "checkpoints" not in name}
    assert not Path("gs:").exists()
    # Three checkpoints are kept, and nothing is left of the first one, from step 1.
    assert {name.split("/")[3] for name in bucket.names("runs/one/checkpoints/")} == {"4", "8", "12"}


@pytest.mark.slow
@pytest.mark.parametrize("step", [5, 11])
def test_a_run_that_is_killed_goes_on_from_its_last_checkpoint(bucket, client, on_disk, tmp_path, step):
    died = begun(bucket, client, "kill", step)
    _, error = died.communicate()
    assert died.returncode == -signal.SIGKILL, error
    assert bucket.names("runs/one/compiled/")
    before = [event["event"] for event in read_events(epath.Path(RUN))]
    # Everything logged before it died is there, although it closed nothing.
    assert before.count("times") == (step - 1) // 3
    assert [at for at, _ in losses(settings(RUN))] == list(range(3, step, 3))

    resolved = settings(RUN)
    train(Toy(noise=0.1), resolved, never)
    assert_same_run(resolved, on_disk)
    events = list(read_events(epath.Path(RUN)))
    assert [event["event"] for event in events[: len(before)]] == before
    starts = [event["step"] for event in events if event["event"] == "start"]
    assert len(starts) == 2
    assert starts[1] in {0, 1, 4, 8}  # whichever save was complete
    assert "2 starts" in goodput.report(epath.Path(RUN))
    at = [step for step, _ in scalars(bucket, tmp_path)]
    assert at == [3, 6, 9, 12]


@pytest.mark.slow
def test_hosts_write_each_its_share_to_the_bucket_and_log_once(bucket, client, on_disk):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    hosts = [begun(bucket, client, "host", rank, port) for rank in range(2)]
    errors = [host.communicate()[1] for host in hosts]
    assert [host.returncode for host in hosts] == [0, 0], errors
    state = "runs/one/checkpoints/12/state"
    assert all(bucket.names(f"{state}/ocdbt.process_{rank}/d/") for rank in range(2))
    resolved = settings(RUN)
    assert [step for step, _ in losses(resolved)] == [3, 6, 9, 12]
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), final_state(resolved), final_state(on_disk)
    )


@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_read_is_put_aside_in_the_bucket(bucket, on_disk):
    resolved = settings(RUN, steps=8)
    train(Toy(noise=0.1), resolved, never)
    newest = bucket.names("runs/one/checkpoints/8/")
    for name in newest:
        if name.startswith("runs/one/checkpoints/8/state/") and "/d/" in name:
            bucket.objects.pop(name)
    left = {name.removeprefix("runs/one/checkpoints/8/") for name in bucket.names("runs/one/checkpoints/8/")}
    assert 0 < len(left) < len(newest)

    resolved = settings_from(RUN)
    train(Toy(noise=0.1), resolved, never)
    assert_same_run(resolved, on_disk)
    aside = bucket.names(f"runs/one/{BROKEN}/8-")
    assert {name.split("/", 4)[4] for name in aside} == left
    assert [event["step"] for event in read_events(epath.Path(RUN)) if event["event"] == "start"] == [0, 4]


def settings_from(folder):
    """Settings for more steps of the same run: its recorded configuration is deleted, so they are accepted."""
    epath.Path(folder, workdir.CONFIG).unlink()
    return settings(folder)


def test_a_trace_goes_to_the_bucket(bucket):
    resolved = settings(RUN, steps=4, evaluate_every=100)
    resolved.profile = "1:3"
    train(Toy(), resolved, never)
    assert [name for name in bucket.names("runs/one/tensorboard/") if name.endswith(".xplane.pb")]


def test_lines_are_there_as_soon_as_they_are_written_whatever_starts_and_kills_there_are(bucket, monkeypatch):
    monkeypatch.setattr(growing, "PART_BYTES", 200)
    monkeypatch.setattr(growing, "REPLACEABLE_AFTER", 0.0)
    path, rng = epath.Path("gs://fake/lines/events.jsonl"), np.random.default_rng(0)
    assert growing.read_lines(path) == []
    assert not growing.exists(path)
    expected: list[str] = []
    for start in range(5):
        drop = rng.integers(4)
        file = (
            growing.go_on(path, keep=lambda line, drop=drop: int(line) % 4 != drop)
            if start % 2
            else growing.go_on(path)
        )
        expected = [line for line in expected if int(line) % 4 != drop] if start % 2 else expected
        assert growing.read_lines(path) == expected
        for _ in range(rng.integers(20)):
            expected.append(str(rng.integers(10**6)).zfill(20))
            file.write(expected[-1] + "\n")
            assert growing.read_lines(path) == expected  # it is never closed: every start ends with a kill
    sizes = [len(bucket.objects[name].content) for name in bucket.names("lines/")]
    assert max(sizes[1:]) < 200 + 21  # all but the object with what the last start found
    assert growing.exists(path)
    assert len(sizes) < 10


def test_no_byte_is_written_more_than_a_few_times_however_long_a_run_goes_on(bucket, monkeypatch):
    monkeypatch.setattr(growing, "PART_BYTES", 1000)
    monkeypatch.setattr(growing, "REPLACEABLE_AFTER", 0.0)
    file = growing.go_on(epath.Path("gs://fake/lines/metrics.jsonl"))
    for _ in range(500):
        file.write("x" * 99 + "\n")
    sent = sum(bucket.bytes_in[name] for name in bucket.names("lines/"))
    assert sent < 500 * (1000 + 100)  # rewriting the whole each time would be 12 MB
    assert len(bucket.names("lines/")) == 1 + 50


def test_lines_in_quick_succession_begin_new_objects_as_an_object_is_replaced_once_a_second(bucket):
    log = RunLog(epath.Path(RUN), 0, write=True)
    for step in range(4):
        log.event("something", step=step)
        log.metrics(step, {"loss": 1.0})
    assert not replaced_too_soon(bucket)
    assert [event["step"] for event in read_events(epath.Path(RUN))] == list(range(4))
    log.close()


def test_a_start_that_is_killed_while_it_takes_over_leaves_each_line_once(bucket, monkeypatch):
    path = epath.Path("gs://fake/lines/metrics.jsonl")
    first = growing.go_on(path)
    first.write("1\n")
    first.write("2\n")

    def killed(*_, **__):
        raise KeyboardInterrupt

    for method in ("write_text", "unlink"):  # before its first object exists, and before the old ones are deleted
        with monkeypatch.context() as patch:
            patch.setattr(type(path), method, killed)
            with pytest.raises(KeyboardInterrupt):
                growing.go_on(path)
        assert growing.read_lines(path) == ["1", "2"]
    growing.go_on(path).write("3\n")
    assert growing.read_lines(path) == ["1", "2", "3"]
    assert json.loads(f"[{','.join(growing.read_lines(path))}]") == [1, 2, 3]
    assert len(bucket.names("lines/")) == 2
