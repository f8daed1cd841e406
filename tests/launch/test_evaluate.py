"""Scoring a run as a user does: the answers to the test split, and the hard counterfactual questions."""

import json
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from aloe.data import latents
from aloe.perception.fill import fill
from aloe.tasks.clevrer import counterfactuals, files, vocabulary
from aloe.tasks.clevrer import task as clevrer
from aloe.tasks.clevrer.examples import asked
from aloe.tasks.clevrer.oracle import Encoder
from aloe.training import workdir
from aloe.training.checkpoints import Checkpoints
from aloe.training.optimizer import lamb
from aloe.training.state import initial_state
from aloe.training.step import data_mesh
from launch import evaluate
from tests.tasks.clevrer.conftest import Drawn
from tests.tasks.clevrer.encoded import settings
from tests.tasks.clevrer.writer import entry, multiple_choice, unlabelled, write_json

STEP = 7
TEST = (15_004, 15_000, 15_001)  # unsorted


def questions(drawn):
    """Two descriptive questions and up to three of every other type, with meaningful programs."""
    wanted = {"descriptive": 2, "explanatory": 3, "predictive": 3, "counterfactual": 3}
    chosen = []
    for candidate in drawn.candidates:
        kind = candidate.question["question_type"]
        if wanted[kind]:
            wanted[kind] -= 1
            chosen.append({"question_id": len(chosen), **candidate.question})
    return chosen


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    for split, indices in (("train", range(4)), ("validation", range(4, 12)), ("test", TEST)):
        drawn = [Drawn(index) for index in indices]
        entries = [entry(each.index, questions(each)) for each in drawn]
        if split == "test":
            entries[1]["questions"].insert(1, multiple_choice(99, correct=()))
            store = latents.create(root / "latents" / "oracle" / split, indices, range(128), 8, 16, {"name": "noise"})
            store.write(indices, np.random.default_rng(0).normal(size=(len(indices), 128, 8, 16)))
            write_json(root / "test.json", unlabelled(entries))
            continue
        write_json(root / f"{split}.json", entries)
        for each in drawn:
            write_json(root / "annotations" / f"annotation_{each.index:05d}.json", each.annotation)
        fill(root / "latents" / "oracle" / split, files.scene_indices(root, split), Encoder(root, workers=1))
    return root


@pytest.fixture(scope="module")
def trained(world, tmp_path_factory):
    """A workdir with a checkpoint of an untrained model."""
    resolved = settings(world)
    resolved.workdir = str(tmp_path_factory.mktemp("run"))
    workdir.claim(resolved)
    mesh = data_mesh()
    task = clevrer.make(resolved)
    state = jax.device_put(
        initial_state(task.model(nnx.Rngs(0)), lamb(resolved.optimizer)), NamedSharding(mesh, PartitionSpec())
    )
    checkpoints = Checkpoints(Path(resolved.workdir) / workdir.CHECKPOINTS, mesh, resolved.training)
    checkpoints.save(STEP, state)
    checkpoints.close()
    return Path(resolved.workdir)


@pytest.fixture
def run(trained, tmp_path):
    """A copy of `trained` to write into."""
    return shutil.copytree(trained, tmp_path / "run")


def test_the_answers_to_the_test_split_are_written_in_the_official_form(call, world, run):
    before = set(run.iterdir())
    status, out, error = call(evaluate, "--local", f"--workdir={run}", "--split=test")
    assert status == 0, error
    path = run / f"submission-{STEP}.json"
    assert set(run.iterdir()) - before == {path}
    assert str(path) in out
    assert "%" not in out  # no labels to score against

    asked_about, submitted = json.loads((world / "test.json").read_text()), json.loads(path.read_text())
    assert [video["scene_index"] for video in submitted] == list(TEST)
    for video, answered in zip(asked_about, submitted, strict=True):
        assert set(answered) == {"scene_index", "questions"}
        for question, answer in zip(video["questions"], answered["questions"], strict=True):
            assert answer["question_id"] == question["question_id"]
            if question["question_type"] == "descriptive":
                assert set(answer) == {"question_id", "answer"}
                assert answer["answer"] in vocabulary.ANSWERS
            else:
                assert set(answer) == {"question_id", "choices"}
                ids = [choice["choice_id"] for choice in question["choices"]]
                assert [choice["choice_id"] for choice in answer["choices"]] == ids
                assert {choice["answer"] for choice in answer["choices"]} <= {"correct", "wrong"}
    assert submitted[1]["questions"][1] == {"question_id": 99, "choices": []}


def test_the_test_split_needs_no_other_split_and_no_other_needs_it(call, world, run, tmp_path):
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "test.json").symlink_to(world / "test.json")
    (tmp_path / "alone" / "latents").symlink_to(world / "latents")
    status, _, error = call(evaluate, "--local", f"--workdir={run}", "--split=test", f"--data={tmp_path / 'alone'}")
    assert status == 0, error
    clevrer.make(settings(without(world, tmp_path / "rest", "test.json", "latents/oracle/test")))


def without(world, root, *names):
    """A copy of a data folder without some of its files and folders."""
    shutil.copytree(world, root)
    for name in names:
        shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()
    return root


def test_what_a_submission_lacks_is_named(call, world, run, tmp_path):
    before = set(run.iterdir())

    def refused(data):
        status, _, error = call(evaluate, "--local", f"--workdir={run}", "--split=test", f"--data={data}")
        assert status == 2
        assert set(run.iterdir()) == before
        return error

    root = without(world, tmp_path / "a", "latents/oracle/test")
    assert re.search(
        rf"{root}/latents/oracle/test: there is no latents store.*launch/encode.py .*--splits", refused(root)
    )
    root = without(world, tmp_path / "b", "test.json")
    assert f"{root}: no test.json here or in a folder below" in refused(root)
    root = without(world, tmp_path / "c", "latents/oracle/test")
    latents.create(root / "latents" / "oracle" / "test", TEST, range(128), 8, 16, {"name": "noise"}).write(
        TEST[:2], np.zeros((2, 128, 8, 16))
    )
    assert re.search(r"1 of 3 videos .* at most 0 may be(.*\n)+.*no latents of video 15001", refused(root))


def rows(text):
    """The figures of a table, by row name."""
    found = [re.match(r"(\S.*?)\s{2,}(\d+) +([\d.–]+.*)", line) for line in text.splitlines()]
    return {match[1]: [int(match[2]), *match[3].split()] for match in found if match}


def test_hard_questions_are_told_apart_beneath_the_usual_table(call, world, run):
    status, out, error = call(evaluate, "--local", f"--workdir={run}", "--hard")
    assert status == 0, error
    records = asked(files.read_questions(world, "validation"), descriptive=False)
    answers = counterfactuals.read(world, "validation", records)
    kinds = [answer.kind(record.question) for record, answer in answers.items()]
    table = rows(out)
    assert {name: table[name][0] for name in set(kinds)} == {name: kinds.count(name) for name in kinds}
    assert len(kinds) == table["counterfactual"][0]
    assert [len(table[name]) for name in ("counterfactual", *kinds)] == [9] * (len(kinds) + 1)  # four columns, twice
    assert table[counterfactuals.AS_IF_DESCRIPTIVE][4] == "100.0"
    assert table[counterfactuals.HARD][4] == "0.0"
    right = sum(float(table[kind][1]) * table[kind][0] for kind in set(kinds)) / len(kinds)
    assert right == pytest.approx(float(table["counterfactual"][1]), abs=0.1)
    assert (run / f"validation-{STEP}.txt").read_text().strip() in out
    scores = json.loads((run / f"validation-{STEP}.json").read_text())
    assert scores.pop("controls").keys() == {"shuffled", "majority", "as if descriptive"}
    assert set(scores) == {"step", "split", "descriptive"} | {
        f"{kind}{more}" for kind in ("explanatory", "predictive", "counterfactual") for more in ("", "_options")
    }


def test_without_annotations_the_control_is_left_out_and_hard_questions_cannot_be_told_apart(
    call, world, run, tmp_path
):
    root = without(world, tmp_path / "world", "annotations")
    before = set(run.iterdir())
    where = ["--local", f"--workdir={run}", f"--data={root}"]
    status, _, error = call(evaluate, *where, "--hard")
    assert status == 2
    assert re.search(
        rf"validation split is not known; .*programs in {root}/validation.json and annotations below", error
    )
    assert "no annotation of scene_index 4 was found" in error
    assert set(run.iterdir()) == before

    status, out, error = call(evaluate, *where)
    assert status == 0, error
    assert len(rows(out)["counterfactual"]) == 7
    assert "No column of questions answered as if descriptive" in out


def test_hard_questions_of_a_split_without_labels_are_refused(call, run):
    status, _, error = call(evaluate, "--local", f"--workdir={run}", "--split=test", "--hard")
    assert status == 2
    assert "--hard compares with labels, which --split=test has not" in error
