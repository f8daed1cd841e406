import json

import numpy as np
import pytest

from aloe.tasks.clevrer import executor, question_writer, scenes


class Drawn:
    """A scene, its simulation, what is written of it, and the questions that could be asked."""

    def __init__(self, index):
        self.index = index
        self.scene, self.motion = scenes.sample(0, index)
        self.annotation, self.truth = json.loads(json.dumps(scenes.describe(self.scene, self.motion, index)))
        self.read = executor.read(self.annotation, self.truth)
        self.candidates = question_writer.candidates(self.read, self.truth, np.random.default_rng((0, index, 1)))


@pytest.fixture(scope="session")
def drawn():
    return [Drawn(index) for index in range(24)]
