"""Scores and controls compared with direct counts."""

import collections

import numpy as np
import pytest

from aloe.tasks.clevr import controls, files, scores, templates
from aloe.tasks.clevr.examples import AskedQuestion, asked
from aloe.tasks.clevr.programs import FAMILIES
from aloe.tasks.clevr.questions import Question
from aloe.tasks.clevr.vocabulary import ANSWER_IDS


@pytest.fixture(scope="module")
def questions(root):
    return {split: asked(files.read_questions(root, split)) for split in ("train", "validation")}


def test_percentages_are_counts_by_family(questions):
    records = questions["validation"]
    answer_Q = np.random.default_rng(0).integers(28, size=len(records))
    answer_Q[::2] = [ANSWER_IDS[record.question.answer] for record in records[::2]]
    right = [
        record.question.answer == list(ANSWER_IDS)[answer] for record, answer in zip(records, answer_Q, strict=True)
    ]
    found = scores.percentages(scores.outcomes(records, answer_Q))
    assert found["accuracy"] == pytest.approx(100 * np.mean(right))
    assert set(found) == {"accuracy", *FAMILIES, *templates.GROUPS}
    for name in (*FAMILIES, *templates.GROUPS):
        of = [
            good
            for record, good in zip(records, right, strict=True)
            if name in (record.question.family, record.question.group)
        ]
        assert found[name] == pytest.approx(100 * np.mean(of))


def test_questions_count_for_what_the_file_tells_of_them():
    records = [
        AskedQuestion(0, Question(0, "Is it red?", "yes")),
        AskedQuestion(0, Question(1, "Is it?", "no", function="exist")),
        AskedQuestion(0, Question(2, "What of both?", "yes", group="single_and")),
        AskedQuestion(0, Question(3, "More?", "yes", function="less_than", group="compare_integer")),
        AskedQuestion(0, Question(4, "More?", "no", group="compare_integer")),
    ]
    results = scores.outcomes(records, np.full(5, ANSWER_IDS["yes"]))
    assert scores.percentages(results) == {
        "accuracy": 60.0,
        "exist": 0.0,
        "compare_integer": 50.0,
        "single_and": 100.0,
    }
    rows = [line.split()[:3] for line in scores.table({"model": results}).splitlines()[2:6]]
    assert rows == [
        ["accuracy", "5", "60.0"],
        ["exist", "1", "0.0"],
        ["compare_integer", "2", "50.0"],
        ["single_and", "1", "100.0"],
    ]


def test_the_majority_is_the_commonest_answer_of_the_function(questions):
    counts = collections.defaultdict(collections.Counter)
    for record in questions["train"]:
        counts[record.question.function][record.question.answer] += 1
    answer_Q = controls.majority(questions["train"], questions["validation"])
    for record, answer in zip(questions["validation"], answer_Q, strict=True):
        of_function = counts[record.question.function]
        assert of_function[list(ANSWER_IDS)[answer]] == max(of_function.values())
    unknown = [AskedQuestion(0, Question(0, "Is it red?", "yes"))]
    overall = sum(counts.values(), collections.Counter())
    assert overall[list(ANSWER_IDS)[controls.majority(questions["train"], unknown)[0]]] == max(overall.values())


def test_balanced_answers_leave_the_majority_little(questions):
    answer_Q = controls.majority(questions["train"], questions["validation"])
    found = scores.percentages(scores.outcomes(questions["validation"], answer_Q))
    assert found["count"] < 50
    assert found["compare_integer"] < 65
    assert found["accuracy"] < 55


def test_the_table_has_every_family_and_the_margins(questions):
    records = questions["validation"]
    right_Q = np.array([ANSWER_IDS[record.question.answer] for record in records])
    columns = {
        "model": scores.outcomes(records, right_Q),
        "majority": scores.outcomes(records, controls.majority(questions["train"], records)),
    }
    text = scores.table(columns)
    for word in (
        "accuracy",
        *FAMILIES,
        *templates.GROUPS,
        "model",
        "majority",
        "Model minus",
        "95 % interval over images",
    ):
        assert word in text
    assert "100.0" in text
