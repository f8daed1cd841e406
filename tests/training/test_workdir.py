"""A workdir belongs to one configuration, and a run's log has each step once across restarts."""

import json

import pytest

from aloe import config
from aloe.errors import InputError
from aloe.training import workdir
from aloe.training.log import RunLog


@pytest.fixture
def resolved(tmp_path):
    resolved = config.resolve("clevrer", "paper", {})
    resolved.workdir = str(tmp_path / "runs" / "one")
    return resolved


def test_the_same_configuration_may_claim_its_folder_again_also_with_moved_data(resolved):
    folder = workdir.claim(resolved)
    resolved.data.root = "/elsewhere"
    assert workdir.claim(resolved) == folder
    assert workdir.read(folder).model.layers == resolved.model.layers


def test_another_configuration_is_refused_and_every_difference_named(resolved):
    folder = workdir.claim(resolved)
    before = (folder / "config.json").read_text()
    resolved.model.layers, resolved.seed = 3, 9
    with pytest.raises(InputError, match=r"model.layers is 28 there and 3 here; seed is 0 there and 9 here"):
        workdir.claim(resolved)
    assert (folder / "config.json").read_text() == before


def test_a_broken_or_absent_config_is_named(resolved, tmp_path):
    folder = workdir.claim(resolved)
    (folder / "config.json").write_text('{"seed": ')
    with pytest.raises(InputError, match=r"config\.json: not JSON"):
        workdir.claim(resolved)
    with pytest.raises(InputError, match="holds no run"):
        workdir.read(tmp_path / "nowhere")


def steps_logged(folder):
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_metrics_have_each_step_once_after_a_crash_and_a_resume(tmp_path):
    log = RunLog(tmp_path, 0, write=True)
    for step in range(1, 8):
        log.metrics(step, {"loss": 1.0})
    log.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "lo')  # truncated by a crash
    log = RunLog(tmp_path, 5, write=True)
    for step in range(6, 10):
        log.metrics(step, {"loss": 2.0})
    log.close()
    assert steps_logged(tmp_path) == list(range(1, 10))


def test_only_the_writing_process_writes(tmp_path):
    log = RunLog(tmp_path, 0, write=False)
    log.metrics(1, {"loss": 1.0})
    log.event("start")
    log.close()
    assert not list(tmp_path.iterdir())


def test_events_are_kept_across_restarts_with_their_time(tmp_path):
    for _ in range(2):
        log = RunLog(tmp_path, 0, write=True)
        log.event("start", step=0)
        log.close()
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["start", "start"]
    assert 0 <= events[1]["time"] - events[0]["time"] < 60
