"""CLEVR through its commands: a world, its check, its masks and latents, short runs, their table and predictions."""

import functools
import json
import re

import numpy as np
import pytest
from PIL import Image

from aloe.tasks.clevr import files
from aloe.tasks.clevr.programs import FAMILIES
from aloe.tasks.clevr.templates import GROUPS
from aloe.tasks.clevr.vocabulary import ANSWERS
from launch import check_data, encode, evaluate, make_world, masks, sweep, train
from tests.tasks.clevr.conftest import SMALL

SHORT = {"training.steps": 4, "training.evaluate_every": 2, "training.log_every": 1, "optimizer.decay_steps": 10}
SETTINGS = [f"--config.{path}={value}" for path, value in (SMALL | SHORT).items()]


@pytest.fixture
def clevr(done):
    return functools.partial(done, task="clevr")


@pytest.mark.slow
def test_the_commands_lead_from_nothing_to_a_table_and_predictions(clevr, tmp_path):
    made = clevr(make_world, "--videos=12", "--size=48x32", "--objects=5", "--workers=1")
    assert "12 images, 0 of which were there already, in data/clevr" in made
    data = tmp_path / "data" / "clevr"
    checked = clevr(check_data, data, "--decode")
    assert "fine" in checked
    assert "programs run" in checked

    numbers = np.zeros((32, 48), np.uint8)
    numbers[8:24, 8:40] = 1
    for path in files.find_videos(data).values():
        given = data / "masks" / path.relative_to(data / "images")
        given.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(numbers).save(given)
    from_a_folder = clevr(masks, f"--data={data}", "--config.data.masks=proposals", *SETTINGS)
    assert "train_proposals_masks.npy: 8 videos" in from_a_folder

    clevr(masks, f"--data={data}", "--splits=train,validation,test", *SETTINGS)
    clevr(train, f"--data={data}", "--workdir=run", "--local", *SETTINGS)
    table = clevr(evaluate, "--workdir=run", "--local", *SETTINGS)
    for word in ("clevr, validation split, after 4 steps", "accuracy", *FAMILIES, *GROUPS, "majority", "shuffled"):
        assert word in table
    record = json.loads((tmp_path / "run" / "validation-4.json").read_text())
    assert set(record["controls"]) == {"shuffled", "majority"}
    assert {*FAMILIES, *GROUPS} <= set(record)

    clevr(evaluate, "--workdir=run", "--local", "--split=test", *SETTINGS)
    answered = json.loads((tmp_path / "run" / "submission-4.json").read_text())
    questions = json.loads(files.questions_path(data, "test").read_text())["questions"]
    assert list(answered) == [str(each["question_index"]) for each in questions]
    assert set(answered.values()) <= set(ANSWERS)


@pytest.mark.slow
def test_stored_latents_train_too_and_a_sweep_has_its_table(clevr, tmp_path):
    clevr(make_world, "--videos=12", "--objects=4", "--questions=zero_hop", "--without_videos", "--workers=1")
    data = tmp_path / "data" / "clevr"
    assert "no images of the train split were found" in clevr(check_data, data)
    clevr(encode, f"--data={data}")
    table = clevr(sweep, f"--data={data}", "--local", "--seeds=1", "--variants=stored", "--fractions=50,100", *SETTINGS)
    assert "accuracy" in table
    assert table.count("stored") >= 2


@pytest.mark.slow
def test_a_monet_learns_from_the_images_and_gives_latents_and_masks(done, clevr, tmp_path):
    clevr(make_world, "--videos=20", "--size=48x32", "--workers=1", "--objects=4")
    tiny = {"data.source": "clevr", "data.frames_per_video": 1, "data.evaluation_frames": 3, "training.steps": 2}
    settings = [f"--config.{path}={value}" for path, value in tiny.items()]
    out = done(
        train, "--data=data/clevr", "--workdir=monet", "--variant=quickstart", "--local", *settings, task="monet"
    )
    assert "foreground_ari" in out  # requires exact masks
    told = clevr(encode, "--encoder=monet", "--checkpoint=monet", "--splits=validation")
    assert "data/clevr/latents/monet/validation: 3 videos" in told
    sizes = json.loads((tmp_path / "monet" / "config.json").read_text())["model"]
    given = {"perception.size": sizes["size"], "model.slots": sizes["slots"], "data.masks": "monet"}
    settings = [f"--config.{path}={value}" for path, value in given.items()]
    told = clevr(masks, "--checkpoint=monet", "--splits=validation", *settings)
    assert re.search(r"validation_monet-[0-9a-f]{16}_masks.npy: 3 videos", told)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--videos=12", "--questions=two_hop"], "no questions 'two_hop'; there are zero_hop, one_hop"),
        (["--videos=12", "--objects=11"], "--objects=11: an image has from 3 up to 10"),
        ([], "--videos is missing"),
        (["--videos=12", "--object=4"], "unknown flag --object; did you mean --objects"),
    ],
)
def test_bad_flags_leave_nothing_behind(call, tmp_path, flags, named):
    status, _, error = call(make_world, *flags, task="--task=clevr")
    assert status == 2
    assert named in error
    assert not list(tmp_path.iterdir())


def test_without_masks_the_mend_is_named(call, tmp_path):
    assert call(make_world, "--videos=10", "--without_videos", "--workers=1", task="--task=clevr")[0] in (None, 0)
    status, _, error = call(
        train, f"--data={tmp_path / 'data' / 'clevr'}", "--workdir=run", "--local", task="--task=clevr"
    )
    assert status == 2
    assert "there are no such masks. Write them anew, with python launch/masks.py --config.data.masks=exact" in error
