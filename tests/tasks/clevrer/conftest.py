"""Drawn scenes; a small encoded data folder with a task and a model on it; what XLA compiles."""

import json

import jax
import numpy as np
import pytest
from flax import nnx

from aloe.tasks.clevrer import executor, question_writer, scenes
from aloe.tasks.clevrer import task as clevrer
from tests.tasks.clevrer.encoded import settings, write_encoded


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


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    return write_encoded(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def task(root):
    return clevrer.make(settings(root))


@pytest.fixture(scope="session")
def model(task):
    """With CLS and biases moved off zero, where a gradient could hide."""
    graphdef, params = nnx.split(task.model(nnx.Rngs(0)), nnx.Param)
    moved = jax.tree.map(
        lambda leaf: leaf + 0.1 * np.random.default_rng(leaf.size).normal(size=leaf.shape).astype(np.float32), params
    )
    return graphdef, moved


@pytest.fixture
def compiled():
    """Grows by an item for every program that XLA compiles during the test."""
    seen = []

    def listen(event, seconds, **_):
        if event.endswith("backend_compile_duration"):
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)
