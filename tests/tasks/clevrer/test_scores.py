"""Metrics by hand on a few questions, the majority control, and the table."""

import numpy as np
import pytest

from aloe.tasks.clevrer import scores, vocabulary
from aloe.tasks.clevrer.examples import AskedQuestion
from aloe.tasks.clevrer.questions import Choice, Question


def descriptive(video, answer, subtype="count"):
    return AskedQuestion(video, Question(0, "How many objects are moving?", "descriptive", subtype, answer, (), None))


def choice(video, labels, kind="explanatory"):
    choices = tuple(Choice(i, "The cube and the sphere collide", label, None) for i, label in enumerate(labels))
    return AskedQuestion(video, Question(1, "What will happen next?", kind, None, None, choices, None))


QUESTIONS = {
    "descriptive": [descriptive(0, "2"), descriptive(0, "red", "query_color"), descriptive(1, "yes", "exist")],
    "choice": [
        choice(0, [True, False, True]),
        choice(1, [False, False]),
        choice(1, [True, False], "predictive"),
        choice(2, [True], "counterfactual"),
    ],
}


def predictions(answers, options):
    rows = np.full((len(options), 4), 9.0)  # choices that a question lacks must not matter
    for row, labels in zip(rows, options, strict=True):
        row[: len(labels)] = [0.0 if label else -1e-3 for label in labels]
    return {"descriptive": np.array([vocabulary.answer_id(answer) for answer in answers]), "choice": rows}


def test_per_question_needs_every_option_and_per_option_pools_them():
    answers = predictions(["2", "red", "no"], [[True, False, False], [False, False], [True, False], [False]])
    result = scores.percentages(scores.outcomes(QUESTIONS, answers))
    assert result == pytest.approx(
        {
            "descriptive": 100 * 2 / 3,
            "explanatory": 50.0,
            "explanatory_options": 100 * 4 / 5,
            "predictive": 100.0,
            "predictive_options": 100.0,
            "counterfactual": 0.0,
            "counterfactual_options": 0.0,
        }
    )


@pytest.mark.parametrize("absent", [-9.0, 9.0])
def test_absent_options_count_for_nothing(absent):
    answers = predictions(["2", "red", "yes"], [[True, False, True], [False, False], [True, False], [True]])
    answers["choice"][1, 2:] = absent
    assert set(scores.percentages(scores.outcomes(QUESTIONS, answers)).values()) == {100.0}


def test_majority_answers_come_from_the_training_split_by_subtype():
    train = {
        "descriptive": [descriptive(0, a) for a in ("1", "2", "2")] + [descriptive(0, "blue", "query_color")],
        "choice": [choice(0, [True, False, False]), choice(0, [True, True], "predictive")],
    }
    control = scores.majority_predictions(train, QUESTIONS)
    answers = [vocabulary.ANSWERS[answer - 1] for answer in control["descriptive"]]
    assert answers == ["2", "blue", "2"]  # for a subtype not in training: the most common answer overall
    result = scores.outcomes(QUESTIONS, control)
    assert result.right_options_Q[-4:].tolist() == [1, 2, 1, 1]


def test_the_table_names_every_type_and_shows_its_numbers():
    right = predictions(["2", "red", "yes"], [[True, False, True], [False, False], [True, False], [True]])
    wrong = predictions(["1", "blue", "no"], [[False, True, False], [True, True], [False, True], [False]])
    each = [scores.outcomes(QUESTIONS, answers) for answers in (right, wrong, wrong)]
    text = scores.table(dict(zip(("model", "shuffled", "majority"), each, strict=True)))
    for name in ("descriptive", "explanatory", "predictive", "counterfactual"):
        row = next(line for line in text.splitlines() if line.startswith(name))
        numbers = [float(cell) for cell in row.split()[1:] if cell != "–"]
        assert numbers[1:4] == [100.0, 0.0, 0.0]
    margins = [line.split("  ")[0] for line in text.splitlines() if line.count("+100.0 [+100.0, +100.0]") == 2]
    assert margins == ["descriptive", "explanatory", "predictive", "counterfactual", "all types"]


def test_a_control_of_some_questions_leaves_the_other_rows_empty():
    right = predictions(["2", "red", "yes"], [[True, False, True], [False, False], [True, False], [True]])
    results = scores.outcomes(QUESTIONS, right)
    columns = {"model": results, "shuffled": results, "some": results.of("predictive")}
    rows = scores.table(columns).split("\n\n")[0].splitlines()
    cells = {line.split()[0]: line.split()[1:] for line in rows}
    assert cells["predictive"] == ["1", *["100.0"] * 6]
    assert cells["explanatory"] == ["2", "100.0", "100.0", "–", "100.0", "100.0", "–"]
    assert cells["descriptive"] == ["3", "100.0", "100.0", *["–"] * 4]
    margins = scores.table(columns).split("\n\n")[1]
    assert "shuffled" in margins
    assert "some" not in margins
