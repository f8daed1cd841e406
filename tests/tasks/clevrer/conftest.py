"""Sampled scenes; a small encoded data folder, with a task and a model on it."""

import json

import numpy as np
import pytest

from aloe.tasks.clevrer import balance, executor, question_writer, scenes, truth
from aloe.tasks.clevrer import task as clevrer
from aloe.tasks.clevrer.annotations import parse_annotation
from tests.tasks.clevrer.encoded import settings, write_encoded
from tests.tasks.clevrer.simulated import Simulated
from tests.tasks.gradients import moved

ROUNDS = 5  # Each scene, with newly drawn questions, serves as several videos: sampling scenes is slow, asking is not.


class Drawn:
    """A scene, its simulation, its annotation and truth, and the candidate questions of each round."""

    def __init__(self, index):
        self.index = index
        self.scene, self.motion = scenes.sample(0, index)
        self.annotation, self.truth = json.loads(json.dumps(truth.describe(self.scene, self.motion, index)))
        self.read = executor.read(parse_annotation(self.annotation), self.truth)
        self.rounds = [
            question_writer.candidates(self.read, self.truth, np.random.default_rng((0, index, number)))
            for number in range(1, ROUNDS + 1)
        ]
        self.candidates = self.rounds[0]
        self.simulated = Simulated(self.scene, self.motion, self.annotation)


@pytest.fixture(scope="session")
def drawn():
    return [Drawn(index) for index in range(30)]


@pytest.fixture(scope="session")
def asked(drawn):
    """The questions chosen for 150 videos: (scene, its questions)."""
    videos = [(each, each.rounds[number]) for number in range(ROUNDS) for each in drawn]
    chosen = balance.choose(candidates for _, candidates in videos)
    return [(each, questions) for (each, _), questions in zip(videos, chosen, strict=True)]


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    return write_encoded(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def task(root):
    return clevrer.make(settings(root))


@pytest.fixture(scope="session")
def model(task):
    return moved(task)
