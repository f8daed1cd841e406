"""Answers to the test split in the format of CLEVRER's challenge (chuangg/CLEVRER: executor/get_results.py)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aloe.tasks.clevrer import vocabulary
from aloe.tasks.clevrer.examples import asked
from aloe.tasks.clevrer.questions import Question, VideoQuestions


def submission(videos: Sequence[VideoQuestions], predictions: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Every video and every question, in the order of the question file.

        [{"scene_index": 15000, "questions": [
            {"question_id": 0, "answer": "sphere"},
            {"question_id": 11, "choices": [{"choice_id": 0, "answer": "correct"}, …]}]}, …]

    A multiple-choice question without choices gets an empty list.

    Args:
      videos: those of the split.
      predictions: for the questions that `asked` gives, in that order; "descriptive": answer ids [Q]; "choice": logits
        [Q, C], at least 0 for "correct".
    """
    predicted = {
        (record.scene_index, record.question.question_id): prediction
        for group, descriptive in (("descriptive", True), ("choice", False))
        for record, prediction in zip(asked(videos, descriptive=descriptive), predictions[group], strict=True)
    }

    def answered(scene_index: int, question: Question) -> dict[str, Any]:
        prediction = predicted.get((scene_index, question.question_id), ())
        if question.is_descriptive:
            return {"question_id": question.question_id, "answer": vocabulary.ANSWERS[prediction - 1]}
        choices = [
            {"choice_id": choice.choice_id, "answer": "correct" if logit >= 0 else "wrong"}
            for choice, logit in zip(question.choices, prediction, strict=False)
        ]
        return {"question_id": question.question_id, "choices": choices}

    return [
        {
            "scene_index": video.scene_index,
            "questions": [answered(video.scene_index, question) for question in video.questions],
        }
        for video in videos
    ]
