"""A run ends, resumes, stops and fails as it should, on a task small enough to run many times."""

import collections
import json
import types
from pathlib import Path

import jax
import numpy as np
import pytest
from etils import epath

from aloe import config
from aloe.errors import InputError
from aloe.training import workdir
from aloe.training.checkpoints import BROKEN, Checkpoints
from aloe.training.clock import Clock
from aloe.training.log import RunLog
from aloe.training.loop import (
    NonFiniteError,
    accumulation_here,
    check_batches,
    check_settings,
    profile_steps,
    run,
    train,
)
from aloe.training.optimizer import lamb
from aloe.training.state import abstract_state
from aloe.training.step import data_mesh
from aloe.training.trace import Trace
from cluster import watchdog
from tests.training.toy import Toy

OVERRIDES = {"optimizer.warmup_steps": "2", "optimizer.decay_steps": "12", "optimizer.learning_rate": "0.2"}


def never(step):
    return False


def settings(folder, **training):
    resolved = config.resolve("clevrer", "quickstart", OVERRIDES)
    resolved.workdir = str(folder)
    resolved.training.update(
        steps=12, log_every=3, evaluate_every=6, checkpoint_every_steps=4, checkpoint_every_minutes=60.0
    )
    resolved.training.update(training)
    resolved.batch.evaluation = 8
    workdir.claim(resolved)
    return resolved


def final_state(resolved):
    checkpoints = Checkpoints(epath.Path(resolved.workdir) / workdir.CHECKPOINTS, data_mesh(), resolved.training)
    abstract = abstract_state(Toy(), lamb(resolved.optimizer))
    state = jax.device_get(checkpoints.restore(abstract))
    checkpoints.close()
    return state


def resolved_folder(resolved):
    return Path(resolved.workdir)


def lines(resolved, name):
    return [json.loads(line) for line in (resolved_folder(resolved) / name).read_text().splitlines()]


def assert_equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    resolved = settings(tmp_path_factory.mktemp("uninterrupted"))
    result = train(Toy(noise=0.1), resolved, never)
    return resolved, result


def test_a_run_takes_its_steps_and_logs_them(uninterrupted):
    resolved, result = uninterrupted
    assert (result["step"], result["stopped"]) == (12, False)
    assert set(result["scores"]) == {"mean"}
    assert set(result["diagnosis"]) == {"largest"}
    metrics = lines(resolved, workdir.METRICS)
    assert [line["step"] for line in metrics if "loss" in line] == [3, 6, 9, 12]
    assert [line["step"] for line in metrics if "validation/mean" in line] == [6, 12]
    losses = [line["loss"] for line in metrics if "loss" in line]
    assert losses[-1] < losses[0]
    events = [event["event"] for event in lines(resolved, workdir.EVENTS)]
    assert events[0] == "start"
    assert events[-1] == "end"


def test_an_evaluation_is_followed_by_its_diagnosis(uninterrupted):
    resolved, _ = uninterrupted
    metrics = lines(resolved, workdir.METRICS)
    assert [line["step"] for line in metrics if "diagnosis/largest" in line] == [6, 12]
    alarms = [(event["step"], event["alarm"]) for event in lines(resolved, workdir.EVENTS) if event["event"] == "alarm"]
    assert alarms == [(6, "it is a toy"), (12, "it is a toy")]
    written = b"".join(path.read_bytes() for path in (resolved_folder(resolved) / workdir.TENSORBOARD).iterdir())
    assert written.count(b"\x89PNG") == 2


@pytest.mark.parametrize("stop_at", [1, 4, 7])
def test_a_stopped_run_resumes_to_the_same_bits(uninterrupted, tmp_path, stop_at):
    resolved = settings(tmp_path)
    result = train(Toy(noise=0.1), resolved, lambda step: step == stop_at)
    assert (result["step"], result["stopped"]) == (stop_at, True)
    train(Toy(noise=0.1), resolved, never)
    assert_equal(final_state(resolved), final_state(uninterrupted[0]))
    steps = [line["step"] for line in lines(resolved, workdir.METRICS) if "loss" in line]
    assert len(steps) == len(set(steps))


def test_a_crashed_run_resumes_from_its_last_checkpoint_to_the_same_bits(uninterrupted, tmp_path):
    resolved = settings(tmp_path)

    def crash(step):
        if step == 7:
            raise ConnectionError("the machine is gone")
        return False

    with pytest.raises(ConnectionError):
        train(Toy(noise=0.1), resolved, crash)
    assert lines(resolved, workdir.EVENTS)[-1]["error"] == "ConnectionError: the machine is gone"
    train(Toy(noise=0.1), resolved, never)
    assert [event["step"] for event in lines(resolved, workdir.EVENTS) if event["event"] == "start"] == [0, 4]
    assert_equal(final_state(resolved), final_state(uninterrupted[0]))


def test_a_run_that_is_finished_only_evaluates(uninterrupted):
    resolved, result = uninterrupted
    before = lines(resolved, workdir.METRICS)
    again = train(Toy(noise=0.1), resolved, never)
    assert again == result
    assert lines(resolved, workdir.METRICS) == before


def traces(resolved):
    """When each trace of a run was written, by file: two of one second have one name."""
    found = (resolved_folder(resolved) / workdir.TENSORBOARD).rglob("*.xplane.pb")
    return {path: path.stat().st_mtime_ns for path in found}


@pytest.mark.parametrize(("steps", "stop_at"), [("2:5", None), ("2:100", None), ("2:6", 4), ("0:3", 1)])
def test_steps_are_traced_also_where_the_run_ends_or_goes_on_amid_them(tmp_path, steps, stop_at):
    resolved = settings(tmp_path, steps=8)
    resolved.profile = steps
    train(Toy(), resolved, lambda step: step == stop_at)
    before = traces(resolved)
    assert len(before) == 1
    if stop_at:
        train(Toy(), resolved, never)
        assert traces(resolved).items() - before.items()


def test_a_trace_that_cannot_be_written_does_not_keep_a_run_from_closing_what_it_has_open(tmp_path, monkeypatch):
    def stop(trace):
        raise OSError("the bucket is gone")

    closed = []
    monkeypatch.setattr(Trace, "stop", stop)
    for each in (Checkpoints, RunLog):
        close = each.close
        monkeypatch.setattr(each, "close", lambda self, close=close: (close(self), closed.append(type(self))))
    with pytest.raises(OSError, match="the bucket is gone"):
        train(Toy(), settings(tmp_path, steps=4), never)
    assert closed == [Checkpoints, RunLog]


@pytest.mark.parametrize("text", ["5", "a:b", "5:2", "5:5", "-3:4", ":", "1:2:3"])
def test_what_is_no_span_of_steps_is_refused(text):
    with pytest.raises(InputError, match=rf"--profile={text}: takes FIRST:LAST"):
        profile_steps(text)
    assert list(profile_steps("100:103")) == [100, 101, 102]
    assert not profile_steps("")


def test_a_run_compiles_each_program_once(tmp_path):
    compiled = collections.Counter()

    def listen(event, seconds, fun_name="", **_):
        if event.endswith("backend_compile_duration"):
            compiled[fun_name] += 1

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        train(Toy(), settings(tmp_path, checkpoint_every_steps=1, evaluate_every=3), never)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert compiled["jit(shard_step)"] == compiled["jit(shard_predict)"] == 1
    assert compiled.most_common(1)[0][1] == 1, compiled


@pytest.mark.parametrize("field", ["batch.evaluation", "batch.accumulation", "training.log_every", "training.steps"])
def test_settings_below_one_are_refused(tmp_path, field):
    resolved = config.resolve("clevrer", "paper", {field: "0"})
    with pytest.raises(InputError, match=rf"config.{field} = 0: give a number of at least 1"):
        check_settings(resolved)


def test_workers_below_zero_are_refused():
    with pytest.raises(InputError, match=r"config.data.workers = -1: give a number of processes"):
        check_settings(config.resolve("clevrer", "paper", {"data.workers": "-1"}))


def test_a_run_that_does_not_fit_its_devices_leaves_no_workdir(tmp_path, monkeypatch):
    """Otherwise the corrected command would be refused as another configuration."""
    resolved = config.resolve("clevrer", "quickstart", {})
    resolved.workdir = str(tmp_path / "run")
    toy = types.SimpleNamespace(make=lambda config: Toy())
    monkeypatch.setattr("aloe.training.loop.tasks.part", lambda task, name: toy)
    monkeypatch.setattr("jax.device_count", lambda: 6)
    with pytest.raises(InputError, match="does not divide by 6 devices"):
        run(resolved.to_dict(), stop=never)
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_stops_the_run_before_it_is_saved(tmp_path):
    resolved = settings(tmp_path, checkpoint_every_steps=2)
    with pytest.raises(NonFiniteError, match=r"step 6: gradient_norm, second not finite; the checkpoint of step 4"):
        train(Toy(broken_from=5), resolved, never)
    state = final_state(resolved)
    assert int(state.step) == 4
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
    assert "step 6" in lines(resolved, workdir.EVENTS)[-1]["error"]


def began_with(folder, devices, batch, accumulation=1):
    """Streams and configuration of a run that first started on so many devices, and later on one."""
    resolved = config.resolve("clevrer", "quickstart", {})
    resolved.workdir = str(folder)
    resolved.batch.accumulation = accumulation
    starts = [{"event": "start", "step": 0, "devices": number} for number in (devices, 1)]
    (folder / workdir.EVENTS).write_text("".join(json.dumps(start) + "\n" for start in starts))
    return {"a": types.SimpleNamespace(batch_size=batch)}, resolved


@pytest.mark.parametrize(
    ("began", "batch", "accumulation", "devices", "expected"),
    [(32, 128, 1, 8, 4), (32, 128, 2, 8, 8), (8, 64, 1, 8, 1), (8, 64, 2, 32, 2), (8, 24, 1, 2, 4), (8, 24, 1, 3, 4)],
)
def test_on_fewer_devices_than_it_began_with_none_holds_more_examples(
    tmp_path, began, batch, accumulation, devices, expected
):
    streams, resolved = began_with(tmp_path, began, batch, accumulation)
    number = accumulation_here(streams, resolved, devices)
    assert number == expected
    assert batch % (devices * number) == 0
    assert batch / (devices * number) <= batch / (began * accumulation)


def test_accumulation_is_as_configured_where_a_run_begins(tmp_path):
    resolved = config.resolve("clevrer", "quickstart", {"batch.accumulation": "2"})
    resolved.workdir = str(tmp_path)
    assert accumulation_here({"a": types.SimpleNamespace(batch_size=64)}, resolved, 8) == 2


def test_a_run_on_fewer_devices_takes_the_same_batches_in_parts(uninterrupted, tmp_path, monkeypatch):
    resolved = settings(tmp_path)
    train(Toy(noise=0.1), resolved, lambda step: step == 4)
    monkeypatch.setattr("aloe.training.loop.data_mesh", lambda: data_mesh(jax.devices()[:2]))
    train(Toy(noise=0.1), resolved, never)
    starts = [event for event in lines(resolved, workdir.EVENTS) if event["event"] == "start"]
    assert [(start["step"], start["devices"], start["accumulation"]) for start in starts] == [(0, 8, 1), (4, 2, 4)]
    one, other = final_state(resolved), final_state(uninterrupted[0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), one.params, other.params)


def test_a_checkpoint_that_cannot_be_read_is_put_aside(uninterrupted, tmp_path):
    resolved = settings(tmp_path)
    train(Toy(noise=0.1), resolved, lambda step: step == 9)
    newest = tmp_path / workdir.CHECKPOINTS / "9"
    for path in newest.rglob("d/*"):
        path.write_bytes(path.read_bytes()[:20])
    train(Toy(noise=0.1), resolved, never)
    assert [event["step"] for event in lines(resolved, workdir.EVENTS) if event["event"] == "start"] == [0, 8]
    assert [path.name.partition("-")[0] for path in (tmp_path / BROKEN).iterdir()] == ["9"]
    assert_equal(final_state(resolved), final_state(uninterrupted[0]))


def test_where_no_checkpoint_can_be_read_all_stay_and_the_error_is_raised(tmp_path):
    resolved = settings(tmp_path)
    train(Toy(), resolved, lambda step: step == 9)
    for path in (tmp_path / workdir.CHECKPOINTS).rglob("d/*"):
        path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ValueError, match=r"DATA_LOSS|CRC|corrupt|ocdbt"):
        train(Toy(), resolved, never)
    assert {path.name for path in (tmp_path / workdir.CHECKPOINTS).iterdir()} == {"4", "8", "9"}
    assert not (tmp_path / BROKEN).exists()


def test_the_time_of_a_run_is_told_by_activity(uninterrupted):
    resolved, _ = uninterrupted
    events = [event for event in lines(resolved, workdir.EVENTS) if event["event"] == "times"]
    assert [event["step"] for event in events][:5] == [3, 6, 9, 12, 12]
    (first,) = events[0]["hosts"]
    assert first["compile"] > 0
    assert first["step"] > 0
    assert first["probe"] > 0
    assert sum(event["hosts"][0]["compile"] for event in events[1:5]) == 0
    assert events[4]["hosts"][0]["evaluation"] > 0


def test_whoever_watches_is_told_what_the_run_is_at(tmp_path):
    told = []
    train(Toy(), settings(tmp_path, steps=6), never, Clock(lambda activity, step: told.append((activity, step))))
    assert told[:5] == [("restore", 0), ("init", 0), ("input", 0), ("compile", 0), ("host", 0)]
    assert [step for activity, step in told if activity == "input"] == [0, 1, 2, 3, 4, 5]
    assert {"save", "evaluation"} <= {activity for activity, _ in told}
    assert told[-2:] == [(watchdog.COMMIT, 6), ("step", 6)]
    saves = [place for place, (activity, _) in enumerate(told) if activity == "save"]
    assert [told[place - 1][0] for place in saves] == [watchdog.COMMIT] * len(saves)


def test_a_batch_that_the_devices_do_not_divide_is_refused_with_all_numbers():
    with pytest.raises(InputError, match=r"config.batch.a = 16 does not divide by 6 devices × .* = 2; give 12 or 24"):
        check_batches(Toy().streams(), accumulation=2, devices=6)
