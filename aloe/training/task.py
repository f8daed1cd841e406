"""What the training loop requires of a task. A task's `task.py` has `make(config, splits=TRAINING_SPLITS) -> Task`."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import grain
import jax
import numpy as np
from clu import metrics
from flax import nnx

from aloe.data.streams import Stream

Batch = Mapping[str, Mapping[str, jax.Array]]  # by stream, then by field
Keys = Mapping[str, jax.Array]  # by stream, one key per example
Parts = dict[str, metrics.Average]
Predictions = Mapping[str, np.ndarray]  # by group, for all examples of a split
Compare = Callable[[Predictions, Predictions], "Comparison"]  # (predictions, those on shuffled latents) -> …

TRAINING_SPLITS = ("train", "validation")


class Comparison(NamedTuple):
    """A model's results next to its controls: a table for people, and percentages by control and score name."""

    table: str
    controls: Mapping[str, Mapping[str, float]]


class Diagnosis(NamedTuple):
    """What an evaluation shows in addition to its scores.

    Attributes:
      numbers: by name, in any unit.
      pictures: by name, image_YxXx3 in uint8, for TensorBoard.
      alarms: what has gone wrong in training, each with a fix.
    """

    numbers: Mapping[str, float] = MappingProxyType({})
    pictures: Mapping[str, np.ndarray] = MappingProxyType({})
    alarms: Sequence[str] = ()


class Task(Protocol):
    """A data set, a model for it, and what is learned and measured.

    `make(config, splits)` opens and checks the files of these splits, so that any problem with them is reported
    before anything is compiled.
    """

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """Weight of each part in the loss, by name."""

    def model(self, rngs: nnx.Rngs) -> nnx.Module:
        """The model with fresh parameters."""

    def streams(self) -> Mapping[str, Stream]:
        """The training data, by stream name."""

    def counts(self, batch: Batch) -> dict[str, jax.Array]:
        """How many items each weighted part is averaged over; a pure function of the batch alone."""

    def parts(self, model: nnx.Module, batch: Batch, keys: Keys, step_key: jax.Array) -> Parts:
        """Sums and counts of the loss parts, and of anything else worth monitoring. Pure.

        Draws for one example use its own key; draws that all examples of a step share use the step's.
        """

    def evaluation(self, split: str, *, shuffled: bool = False) -> Mapping[str, grain.MapDataset]:
        """The questions of a split, in order, by group; all examples of a group have the same shapes.

        With `shuffled`, every example gets another video's latents: a control that answers from the words alone.
        """

    def predict(self, model: nnx.Module, group: str, batch: Mapping[str, jax.Array]) -> jax.Array:
        """Predictions for the examples of one group, one row per example. Pure."""

    def scores(self, split: str, predictions: Predictions) -> dict[str, float]:
        """Percentages by name, from the predictions for all examples of a split."""

    def diagnosis(self, split: str, predictions: Predictions) -> Diagnosis:
        """What else is worth monitoring, from the predictions for all examples of a split."""

    def comparison(self, split: str, *, hard: bool = False) -> Compare:
        """Makes a function that compares a model's results with their controls; needs the training split too.

        `hard` separates out the questions that truly need what the task is about. The files for this are read here, so
        that anything missing is reported (InputError) before anything is compiled.
        """

    def submission(self, split: str, predictions: Predictions) -> Any:
        """The answers to a split in the official format, text or JSON; it may be one of `UNLABELLED` in files.py."""
