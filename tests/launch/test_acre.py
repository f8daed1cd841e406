"""ACRE through its commands: a world, its check, its latents, a short run, its table and its predictions."""

import functools
import json

import pytest

from launch import check_data, encode, evaluate, make_world, sweep, train
from tests.tasks.acre.conftest import SMALL

SHORT = {"training.steps": 4, "training.evaluate_every": 2, "training.log_every": 1, "optimizer.decay_steps": 10}


@pytest.mark.slow
def test_the_commands_lead_from_nothing_to_a_table_and_predictions(done, tmp_path):
    acre = functools.partial(done, task="acre")
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
    assert set(record["controls"]) == {"shuffled", "counts", "counts of train", "majority"}
    assert 0 <= record["problem"] <= record["query"] <= 100


@pytest.mark.slow
def test_a_monet_learns_from_the_pictures_and_encodes_them(done):
    done(make_world, "--videos=10", "--size=32x24", "--regimes=IID", "--workers=1", task="acre")
    data = "--data=data/acre/ACRE_IID"
    tiny = {"data.source": "acre", "data.frames_per_video": 10, "model.latent": 36, "training.steps": 2}
    settings = [f"--config.{path}={value}" for path, value in (tiny | {"data.evaluation_frames": 8}).items()]
    out = done(train, data, "--workdir=monet", "--variant=quickstart", "--local", *settings, task="monet")
    assert "explained" in out
    assert "foreground_ari" in out  # requires exact masks
    told = done(encode, data, "--encoder=monet", "--checkpoint=monet", "--splits=validation", task="acre")
    assert "latents/monet/validation: 2 videos" in told


@pytest.mark.slow
def test_a_sweep_over_fractions_of_the_labelled_problems(done):
    acre = functools.partial(done, task="acre")
    acre(make_world, "--videos=10", "--without_videos", "--regimes=IID", "--workers=1")
    acre(encode, "--data=data/acre/ACRE_IID")
    settings = [f"--config.{path}={value}" for path, value in (SMALL | SHORT).items()]
    table = acre(sweep, "--data=data/acre/ACRE_IID", "--local", "--seeds=1", "--fractions=50", *settings)
    assert "problem" in table


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--videos=10", "--regimes=Syss"], "no regime 'Syss'; did you mean Sys"),
        (["--config=missing.json", "--regimes=Sys"], "missing.json: cannot be read"),
        (["--config=missing.json"], "of which regime is it? Say so"),
        (["--config=Sys_missing.json"], "Sys_missing.json: cannot be read"),
        (["--config=IID_or_Sys.json"], "of which regime is it? Say so"),
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
