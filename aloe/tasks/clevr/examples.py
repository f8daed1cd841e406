"""Questions and images of one split as examples: the arrays that batches are made of."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import grain
import numpy as np

from aloe.data.streams import Example
from aloe.tasks.clevr import vocabulary
from aloe.tasks.clevr.questions import ImageQuestions, Question

ONLY_FRAME = np.zeros(1, np.int64)


class AskedQuestion(NamedTuple):
    """A question and the image it is about."""

    scene_index: int
    question: Question


def asked(images: Sequence[ImageQuestions]) -> list[AskedQuestion]:
    """Every question of the images, in order."""
    return [AskedQuestion(image.scene_index, question) for image in images for question in image.questions]


class Images(Protocol):
    """The source of what a model sees of a split's images: stored latents or pixels."""

    def see(self, scene_index: int, frames_F: np.ndarray) -> Mapping[str, np.ndarray]:
        """Arrays by field, each of shape [F, …]."""


@dataclasses.dataclass(frozen=True)
class Examples:
    """Makes the examples of one split."""

    images: Images

    def train(self, record: AskedQuestion, rng: np.random.Generator) -> Example:
        """A question with its image and its answer."""
        return self.answered(record, record.scene_index)

    def unsupervised(self, record: ImageQuestions, rng: np.random.Generator) -> Example:
        """An image with one of its questions, without the answer."""
        question = record.questions[rng.integers(len(record.questions))]
        return {"question": vocabulary.question_ids(question.text), **self.images.see(record.scene_index, ONLY_FRAME)}

    def evaluation(self, records: Sequence[AskedQuestion], seen: Mapping[int, int]) -> grain.MapDataset:
        """The questions in order, each with its own image, or the one that `seen` substitutes for it."""

        def example(record: AskedQuestion) -> Example:
            return self.answered(record, seen.get(record.scene_index, record.scene_index))

        return grain.MapDataset.source(records).map(example)

    def answered(self, record: AskedQuestion, scene_index: int) -> Example:
        answer = record.question.answer
        return {
            "question": vocabulary.question_ids(record.question.text),
            "answer": np.int32(vocabulary.ANSWER_IDS[answer] if answer else 0),
            **self.images.see(scene_index, ONLY_FRAME),
        }
