"""A folder is all a task needs: a made-up one, with just what WORKSPACE.md requires, run through the commands."""

import json
from pathlib import Path

import pytest

from aloe import tasks
from launch import check_data, encode, evaluate, make_world, train


@pytest.fixture(autouse=True)
def added(monkeypatch):
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(Path(__file__).parents[1] / "tasks" / "added")])


@pytest.mark.slow
def test_a_folder_goes_from_nothing_to_a_table_and_to_answers(done, tmp_path):
    done(make_world, "--videos=36", task="lamps")
    data = tmp_path / "data" / "lamps"
    done(encode, "--splits=train,validation,test", task="lamps")
    assert "fine" in done(check_data, data, task="lamps")
    done(train, "--workdir=run", "--local", task="lamps")
    assert "right" in done(evaluate, "--workdir=run", "--local", task="lamps")
    done(evaluate, "--workdir=run", "--local", "--split=test", task="lamps")
    assert len(json.loads((tmp_path / "run" / "submission-4.json").read_text())) == 12
    record = json.loads((tmp_path / "run" / "validation-4.json").read_text())
    assert set(record) >= {"right", "controls"}
    assert set(record["controls"]) == {"shuffled"}


def test_its_flags_are_its_own(done, tmp_path):
    done(make_world, "--videos=3", "--dark", task="lamps")
    assert json.loads((tmp_path / "data" / "lamps" / "train.json").read_text())["scenes"][0]["lit"] == [[0] * 3] * 2


def test_what_is_missing_is_said_before_anything_is_made(call, tmp_path):
    for program, flags, named in (
        (make_world, ["--bright"], "unknown flag --bright"),
        (make_world, [], "--videos is missing"),
        (encode, [], "data/lamps: there is no such data folder"),
        (encode, ["--frames_per_video=2"], "an oracle encodes all frames"),
        (encode, ["--encoder=monet", "--checkpoint=clevrer_world"], "lamps.files has no FRAMES and find_videos"),
    ):
        status, _, error = call(program, *flags, task="--task=lamps")
        assert status == 2
        assert named in error
    assert not list(tmp_path.iterdir())
