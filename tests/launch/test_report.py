import functools
import json

import pytest
from matplotlib import image

from aloe.training.clock import ACTIVITIES
from launch import report


@pytest.fixture
def draw(call):
    return functools.partial(call, report, task=None)


@pytest.fixture
def workdirs(tmp_path):
    """Two runs with validation scores; the first has been compared with a control."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for number, folder in enumerate(folders):
        folder.mkdir()
        lines = [{"step": step, "loss": 1.0} for step in (1, 2)]
        lines += [{"step": step, "validation/a": 50.0 + step + number, "validation/b": 90.0} for step in (1, 2)]
        cut_short = '{"step": 3, "validation/a"'
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + cut_short)
    for step, percent in ((1, 5.0), (2, 30.0)):
        scores = {"step": step, "a": 52.0, "controls": {"shuffled": {"a": percent}}}
        (folders[0] / f"validation-{step}.json").write_text(json.dumps(scores))
    return folders


def test_scores_and_controls_are_those_of_the_workdirs(workdirs):
    assert report.report.validation_scores(workdirs[1]) == {"a": [(1, 52.0), (2, 53.0)], "b": [(1, 90.0), (2, 90.0)]}
    assert report.report.latest_controls(workdirs[0]) == {"shuffled": {"a": 30.0}}
    assert report.report.latest_controls(workdirs[1]) == {}


def test_a_picture_is_drawn_of_all_runs(draw, workdirs, tmp_path):
    status, out, error = draw(f"--workdir={workdirs[0]}", f"--workdir={workdirs[1]}")
    assert status == 0, error
    picture = workdirs[0] / "curves.png"
    assert out.strip() == str(picture)
    both = image.imread(picture)
    assert len({tuple(color) for row in both for color in row}) > 10
    status, _, error = draw(f"--workdir={workdirs[0]}", f"--out={tmp_path / 'one.png'}")
    assert status == 0, error
    assert (image.imread(tmp_path / "one.png").shape != both.shape) or (
        image.imread(tmp_path / "one.png") != both
    ).any()


def test_many_scores_go_below_each_other(draw, workdirs, tmp_path):
    def drawn(scores):
        record = {"step": 1} | {f"validation/{name}": 50.0 for name in range(scores)}
        (workdirs[1] / "metrics.jsonl").write_text(json.dumps(record) + "\n")
        status, _, error = draw(f"--workdir={workdirs[1]}", f"--out={tmp_path / 'many.png'}")
        assert status == 0, error
        return image.imread(tmp_path / "many.png").shape[:2]

    (height_of_6, width_of_6), (height_of_14, width_of_14) = drawn(6), drawn(14)
    assert width_of_14 == width_of_6
    assert height_of_14 == 3 * height_of_6


def test_a_folder_without_scores_is_named(draw, tmp_path):
    status, _, error = draw(f"--workdir={tmp_path}")
    assert status == 2
    assert f"{tmp_path}: no metrics.jsonl here" in error
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 1.0}\n')
    status, _, error = draw(f"--workdir={tmp_path}")
    assert status == 2
    assert "no validation scores yet" in error


def test_goodput_is_printed_in_place_of_the_picture(draw, workdirs):
    seconds = dict.fromkeys(ACTIVITIES, 0.0) | {"init": 1.0, "compile": 1.0, "step": 6.0, "probe": 0.001}
    events = [
        {"event": "start", "time": 2.0, "step": 0, "hosts": 1, "devices": 1},
        {"event": "times", "time": 10.0, "step": 10, "hosts": [seconds]},
    ]
    (workdirs[0] / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    status, out, error = draw(f"--workdir={workdirs[0]}", "--goodput")
    assert status == 0, error
    assert "goodput: steps that count" in out
    assert "75.0 %" in out
    assert not (workdirs[0] / "curves.png").exists()
    status, _, error = draw(f"--workdir={workdirs[1]}", "--goodput")
    assert status == 2
    assert "no times yet" in error
