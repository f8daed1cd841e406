"""Run through the commands: on a world of eight objects, a small model beats controls that see no context."""

import json

import pytest

from tests.commands import launch

STEPS = 2_000


@pytest.mark.learning
def test_a_small_model_learns_from_the_context(tmp_path):
    def run(program, *flags):
        return launch(program, "--task=acre", *flags, cwd=tmp_path)

    run("make_world.py", "--videos=3300", "--regimes=IID", "--objects=8", "--without_videos", "--out=world")
    run("encode.py", "--data=world/ACRE_IID")
    shorter = f"--config.training.steps={STEPS}"
    where = ("--data=world/ACRE_IID", "--workdir=run", "--local", "--variant=quickstart", shorter)
    run("train.py", *where)
    run("evaluate.py", *where)
    scores = json.loads((tmp_path / "run" / f"validation-{STEPS}.json").read_text())
    controls = scores["controls"]
    assert scores["query"] > 41
    # With 2,640 queries, a difference of 3 points is three standard deviations.
    assert scores["query"] > controls["majority"]["query"] + 3
    assert scores["query"] > controls["shuffled"]["query"] + 3
    # The model tells undetermined queries from others; the most common label is never "undetermined".
    assert scores["backward_blocking"] > controls["shuffled"]["backward_blocking"] + 10
