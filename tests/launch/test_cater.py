"""CATER through its commands: a world, its check, its latents, a short run, its tables and its predictions."""

import functools
import json

import pytest

from launch import check_data, encode, evaluate, make_world, masks, sweep, train
from tests.tasks.cater.conftest import SMALL

SHORT = {"training.steps": 4, "training.evaluate_every": 2, "training.log_every": 1, "optimizer.decay_steps": 10}


@pytest.fixture
def cater(done):
    return functools.partial(done, task="cater")


@pytest.mark.slow
def test_the_commands_lead_from_nothing_to_a_table_and_predictions(cater, tmp_path):
    made = cater(make_world, "--videos=20", "--size=32x24", "--workers=1", "--hidden=0.5", "--objects=5")
    assert "20 videos, 0 of which were there already, in data/cater" in made
    assert "hidden at the end" in made
    assert "fine" in cater(check_data, "data/cater", "--decode")
    assert "data/cater/latents/oracle/validation: 6 videos" in cater(encode)
    settings = [f"--config.{path}={value}" for path, value in (SMALL | SHORT).items()]
    cater(train, "--workdir=run", "--local", *settings)
    table = cater(evaluate, "--workdir=run", "--local", "--hard", "--predictions", *settings)
    for word in ("cater, validation split, after 4 steps", "top-1, %", "top-5, %", "L1, cells", "last seen", "moving"):
        assert word in table
    lines = (tmp_path / "run" / "predictions-validation-4.txt").read_text().splitlines()
    listed = {
        folder: (tmp_path / "data" / "cater" / folder / "lists" / "localize" / "val.txt").read_text().splitlines()
        for folder in ("all_actions", "all_actions_cameramotion")
    }
    assert [line.split()[0] for line in lines] == [
        f"{folder}/videos/{line.split()[0]}" for folder, of_folder in listed.items() for line in of_folder
    ]
    record = json.loads((tmp_path / "run" / "validation-4.json").read_text())
    assert set(record["controls"]) == {"shuffled", "majority", "last seen"}
    assert 0 <= record["static"] <= record["static_top5"] <= 100
    assert 0 <= record["diagnosis"]["static_l1"] <= 10


@pytest.mark.slow
def test_a_monet_learns_from_the_videos_and_encodes_them(done, cater, tmp_path):
    cater(make_world, "--videos=20", "--size=32x24", "--workers=1", "--objects=5")
    tiny = {"data.source": "cater", "data.evaluation_frames": 8, "model.latent": 36, "training.steps": 2}
    settings = [f"--config.{path}={value}" for path, value in tiny.items()]
    out = done(
        train, "--data=data/cater", "--workdir=monet", "--variant=quickstart", "--local", *settings, task="monet"
    )
    assert "foreground_ari" in out  # requires exact masks
    told = cater(encode, "--encoder=monet", "--checkpoint=monet", "--splits=validation")
    assert "data/cater/latents/monet/validation: 6 videos" in told


@pytest.mark.slow
def test_a_sweep_over_fractions_of_the_labelled_videos(cater, tmp_path):
    cater(make_world, "--videos=20", "--without_videos", "--workers=1", "--objects=5")
    cater(encode)
    settings = [f"--config.{path}={value}" for path, value in (SMALL | SHORT).items()]
    table = cater(sweep, "--local", "--seeds=1", "--fractions=50", *settings)
    percentages, others = table.split("\n\n")
    assert "static_top5" in percentages
    assert "static_l1" in others


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--videos=20", "--hidden=2"], "--hidden=2.0: give a chance from 0 to 1"),
        (["--videos=20", "--object=5"], "unknown flag --object; did you mean --objects"),
        ([], "--videos is missing"),
    ],
)
def test_bad_flags_leave_nothing_behind(call, tmp_path, flags, named):
    status, _, error = call(make_world, *flags, task="--task=cater")
    assert status == 2
    assert named in error
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_data_is_answered_with_how_to_get_some(call, tmp_path):
    for program, flags in ((check_data, [tmp_path]), (train, [f"--data={tmp_path}", "--workdir=run", "--local"])):
        status, _, error = call(program, *flags, task="--task=cater")
        assert status == 2
        assert "no folder all_actions/lists/localize here" in error
        assert "python launch/make_world.py --task=cater" in error
    assert not list(tmp_path.iterdir())


def test_a_task_that_takes_no_masks_says_so(call):
    status, _, error = call(masks, "--variant=paper", task="--task=cater")
    assert status == 2
    assert "--task=cater: its models take stored latents, and no masks" in error
