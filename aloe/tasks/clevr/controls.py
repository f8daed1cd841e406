"""Predictions without a model or images: the most common answer to questions that end with the same function."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from aloe.tasks.clevr.examples import AskedQuestion
from aloe.tasks.clevr.vocabulary import ANSWER_IDS


def majority(train: Sequence[AskedQuestion], questions: Sequence[AskedQuestion]) -> np.ndarray:
    """For every question, the training split's most common answer for its function, or else of all: answer_Q."""
    counts: dict[str | None, Counter[str]] = defaultdict(Counter)
    for record in train:
        counts[record.question.function][record.question.answer or ""] += 1
    of_all = sum(counts.values(), Counter[str]())
    return np.array(
        [ANSWER_IDS[_commonest(counts.get(record.question.function, of_all))] for record in questions], np.int64
    )


def _commonest(answers: Counter[str]) -> str:
    return min(answers, key=lambda answer: (-answers[answer], answer))
