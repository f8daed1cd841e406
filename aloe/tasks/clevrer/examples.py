"""Turns questions and latents of one split into examples: the arrays that batches are made of."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import grain
import numpy as np

from aloe.data.streams import Example
from aloe.tasks.clevrer import vocabulary
from aloe.tasks.clevrer.annotations import FRAMES
from aloe.tasks.clevrer.questions import MAX_CHOICES, Question, VideoQuestions


@dataclasses.dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A question and the video it is about."""

    scene_index: int
    question: Question


def asked(videos: Sequence[VideoQuestions], *, descriptive: bool) -> list[AskedQuestion]:
    """The videos' descriptive or multiple-choice questions, in order; the latter without those that have no choices."""
    return [
        AskedQuestion(video.scene_index, question)
        for video in videos
        for question in video.questions
        if question.is_descriptive == descriptive and (descriptive or question.choices)
    ]


class Videos(Protocol):
    """Source of the model's visual input for a split's videos: stored latents, or pixels."""

    def see(self, scene_index: int, frames_F: np.ndarray) -> Mapping[str, np.ndarray]:
        """Arrays by field, each of [F, …]; `frames_F` are indices into the available frames."""


@dataclasses.dataclass(frozen=True)
class Examples:
    """Makes examples of one split, with `frames` of the `available` frames of each video."""

    videos: Videos
    frames: int
    available: int = FRAMES

    def train(self, record: AskedQuestion, rng: np.random.Generator) -> Example:
        """A question with random frames of its video."""
        return {**question_arrays(record.question), **self.random_frames(record.scene_index, rng)}

    def unsupervised(self, record: VideoQuestions, rng: np.random.Generator) -> Example:
        """A video with one of its questions, a choice of that question, and no answer (paper A.3)."""
        arrays: dict[str, np.ndarray | np.generic] = {
            "question": np.zeros(vocabulary.QUESTION_LENGTH, np.int32),
            "choice": np.zeros(vocabulary.CHOICE_LENGTH, np.int32),
            "is_choice": np.bool_(False),
        }
        if record.questions:
            question = record.questions[rng.integers(len(record.questions))]
            arrays["question"] = vocabulary.question_ids(question.text)
            arrays["is_choice"] = np.bool_(not question.is_descriptive)
            if question.choices:
                choice = question.choices[rng.integers(len(question.choices))]
                arrays["choice"] = vocabulary.choice_ids(choice.text)
        return {**arrays, **self.random_frames(record.scene_index, rng)}

    def evaluation(self, records: Sequence[AskedQuestion], seen: dict[int, int]) -> grain.MapDataset:
        """The questions in order, each with fixed frames of its video, or of the video that `seen` maps it to."""
        stride = self.available // self.frames  # 0, 5, …, 120 for 25 frames, as in the released code
        frames_F = np.arange(self.frames) * stride

        def example(record: AskedQuestion) -> Example:
            video = seen.get(record.scene_index, record.scene_index)
            return {**question_arrays(record.question), **self.videos.see(video, frames_F)}

        return grain.MapDataset.source(records).map(example)

    def random_frames(self, scene_index: int, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
        """Visual input of frames drawn without replacement, in temporal order (appendix A.3)."""
        return self.videos.see(scene_index, np.sort(rng.choice(self.available, self.frames, replace=False)))


def question_arrays(question: Question) -> dict[str, np.ndarray | np.generic]:
    """Words and labels. `exists` masks choices that a question lacks, in losses and metrics alike."""
    words: dict[str, np.ndarray | np.generic] = {"question": vocabulary.question_ids(question.text)}
    if question.is_descriptive:
        return words | {"answer": np.int32(vocabulary.answer_id(question.answer) if question.answer else 0)}
    choices_CxW = np.zeros((MAX_CHOICES, vocabulary.CHOICE_LENGTH), np.int32)
    exists_C, correct_C = np.zeros(MAX_CHOICES, bool), np.zeros(MAX_CHOICES, bool)
    for place, choice in enumerate(question.choices):
        choices_CxW[place] = vocabulary.choice_ids(choice.text)
        exists_C[place], correct_C[place] = True, bool(choice.correct)
    return words | {"choices": choices_CxW, "exists": exists_C, "correct": correct_C}
