"""ACRE by the commands: a world, its check, its latents, a short run, its table and its predictions."""

import json

import pytest

from launch import check_data, encode, evaluate, make_world, train
from tests.tasks.acre.conftest import SMALL

SHORT = {"training.steps": 4, "training.evaluate_every": 2, "training.log_every": 1, "optimizer.decay_steps": 10}


@pytest.mark.slow
def test_the_commands_lead_from_nothing_to_a_table_and_predictions(call, tmp_path):
    def acre(program, *argv):
        status, out, error = call(program, *argv, task="--task=acre")
        assert status in (None, 0), error
        return out

    made = acre(make_world, "--videos=10", "--size=32x24", "--regimes=Sys", "--workers=1")
    assert "10 problems, 0 of which were there already, in data/acre" in made
    data = tmp_path / "data" / "acre" / "ACRE_Sys"
    assert "fine" in acre(check_data, data, "--decode")
    acre(encode, f"--data={data}", "--splits=train,validation,test")
    settings = [f"--config.{path}={value}" for path, value in (SMALL | SHORT).items()]
    acre(train, f"--data={data}", "--workdir=run", "--local", *settings)
    table = acre(evaluate, "--workdir=run", "--local", "--split=test", "--predictions", *settings)
    for word in ("acre, test split, after 4 steps", "direct", "counts", "majority", "shuffled"):
        assert word in table
    answered = json.loads((tmp_path / "run" / "predictions-test-4.json").read_text())
    official = json.loads((data / "config" / "test.json").read_text())
    assert [[panel["objects"] for panel in problem] for problem in answered] == [
        [panel["objects"] for panel in problem] for problem in official
    ]
    record = json.loads((tmp_path / "run" / "test-4.json").read_text())
    assert set(record["controls"]) == {"shuffled", "counts", "majority"}
    assert 0 <= record["problem"] <= record["query"] <= 100


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--videos=10", "--regimes=Syss"], "no regime 'Syss'; did you mean Sys"),
        (["--config=missing.json", "--regimes=Sys"], "missing.json: cannot be read"),
        (["--config=missing.json"], "is of one regime; say which"),
        ([], "--videos is missing"),
        (["--videos=10", "--regime=Sys"], "unknown flag --regime; did you mean --regimes"),
    ],
)
def test_bad_flags_leave_nothing_behind(call, tmp_path, flags, named):
    status, _, error = call(make_world, *flags, task="--task=acre")
    assert status == 2
    assert named in error
    assert not list(tmp_path.iterdir())


def test_flags_of_one_task_are_unknown_to_another(call, tmp_path):
    status, _, error = call(make_world, "--videos=4", "--regimes=Sys")
    assert status == 2
    assert "unknown flag --regimes" in error


def test_the_folder_of_all_regimes_is_answered_with_the_folder_of_one(call, tmp_path):
    acre = "--task=acre"
    assert call(make_world, "--videos=5", "--regimes=IID", "--without_videos", "--workers=1", task=acre)[0] in (None, 0)
    status, _, error = call(train, f"--data={tmp_path / 'data' / 'acre'}", "--workdir=run", "--local", task=acre)
    assert status == 2
    assert "holds the regimes IID; name one of them: --data=" in error
