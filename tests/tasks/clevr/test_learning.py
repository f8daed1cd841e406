"""By the commands: on zero-hop questions a small model comes to look at the image, beyond what words can tell."""

import json

import pytest

from tests.commands import launch

STEPS = 2_000  # of the variant


@pytest.mark.learning
def test_a_small_model_learns_to_look(tmp_path):
    def run(program, *flags):
        return launch(program, "--task=clevr", *flags, cwd=tmp_path)

    made = ("--videos=3000", "--objects=6", "--questions=zero_hop", "--without_videos")
    run("make_world.py", *made, "--out=world")
    run("encode.py", "--data=world")
    where = ("--data=world", "--workdir=run", "--local", "--variant=quickstart")
    run("train.py", *where)
    run("evaluate.py", *where)
    scores = json.loads((tmp_path / "run" / f"validation-{STEPS}.json").read_text())
    controls = scores["controls"]
    # Of 4,473 questions 3 points are four standard deviations. It had 53.9, other images 40.2, the majority 38.8.
    assert scores["accuracy"] > 50
    for control in ("shuffled", "majority"):
        assert scores["accuracy"] > controls[control]["accuracy"] + 9
        assert scores["query_attribute"] > controls[control]["query_attribute"] + 15
    # Of what is there words tell nothing: 1,798 questions, half of them "yes".
    assert controls["shuffled"]["exist"] < 54 < scores["exist"]
