"""The submission, read back, has every question of the file in order, with its prediction."""

import json

import numpy as np

from aloe.tasks.clevrer import vocabulary
from aloe.tasks.clevrer.examples import asked
from aloe.tasks.clevrer.questions import parse_questions
from aloe.tasks.clevrer.submission import submission
from tests.tasks.clevrer.writer import descriptive, entry, multiple_choice, unlabelled


def test_every_question_in_the_order_of_the_file_with_its_own_answer():
    backwards = multiple_choice(11, correct=(True, True, True))
    backwards["choices"].reverse()
    entries = [
        entry(15007, [backwards, descriptive(3), multiple_choice(12, correct=())]),
        entry(15002, []),
        entry(15001, [descriptive(0), descriptive(1), multiple_choice(2, correct=(True,)), multiple_choice(4)]),
    ]
    videos, problems = parse_questions(unlabelled(entries), labelled=False)
    assert not problems
    predictions = {
        "descriptive": np.array([vocabulary.answer_id(answer) for answer in ("sphere", "0", "yes")]),
        "choice": np.array([[0.0, -1e-6, 3.0, 9.0], [-2.0, 9.0, 9.0, 9.0], [-1.0, 1.0, 9.0, -9.0]]),
    }
    assert json.loads(json.dumps(submission(videos, predictions))) == [
        {
            "scene_index": 15007,
            "questions": [
                {
                    "question_id": 11,
                    "choices": [
                        {"choice_id": 2, "answer": "correct"},
                        {"choice_id": 1, "answer": "wrong"},
                        {"choice_id": 0, "answer": "correct"},
                    ],
                },
                {"question_id": 3, "answer": "sphere"},
                {"question_id": 12, "choices": []},
            ],
        },
        {"scene_index": 15002, "questions": []},
        {
            "scene_index": 15001,
            "questions": [
                {"question_id": 0, "answer": "0"},
                {"question_id": 1, "answer": "yes"},
                {"question_id": 2, "choices": [{"choice_id": 0, "answer": "wrong"}]},
                {
                    "question_id": 4,
                    "choices": [{"choice_id": 0, "answer": "wrong"}, {"choice_id": 1, "answer": "correct"}],
                },
            ],
        },
    ]
    assert [len(asked(videos, descriptive=each)) for each in (True, False)] == [3, 3]
