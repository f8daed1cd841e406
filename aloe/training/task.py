"""What the training loop asks of a task. A task's `task.py` has `make(config) -> Task`."""

from collections.abc import Mapping
from typing import Protocol

import grain
import jax
import numpy as np
from clu import metrics
from flax import nnx

from aloe.data.streams import Stream

Batch = Mapping[str, Mapping[str, jax.Array]]  # by stream, then by field
Keys = Mapping[str, jax.Array]  # by stream, one key per example
Parts = dict[str, metrics.Average]


class Task(Protocol):
    """A data set, a model for it, and what is learned and measured.

    `make(config)` opens and checks the files, so that whatever is wrong with them is said before anything is compiled.
    """

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """Weight in the loss by name of a part."""

    def model(self, rngs: nnx.Rngs) -> nnx.Module:
        """The model with fresh parameters."""

    def streams(self) -> Mapping[str, Stream]:
        """The training data by name of the stream."""

    def counts(self, batch: Batch) -> dict[str, jax.Array]:
        """How many items each weighted part is averaged over; a pure function of the batch alone."""

    def parts(self, model: nnx.Module, batch: Batch, keys: Keys, step_key: jax.Array) -> Parts:
        """Sums and counts of the loss parts, and of whatever else is worth watching. Pure.

        What is drawn for an example is drawn with its key, what all examples of a step share with the step's.
        """

    def evaluation(self, split: str, *, shuffled: bool = False) -> Mapping[str, grain.MapDataset]:
        """The questions of a split, in order, by group; each group has examples of one shape.

        With `shuffled` every example sees another video's latents: a control that answers from the words alone.
        """

    def predict(self, model: nnx.Module, group: str, batch: Mapping[str, jax.Array]) -> jax.Array:
        """Predictions for the examples of one group, one row an example. Pure."""

    def scores(self, split: str, predictions: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Percentages by name, from the predictions for all examples of a split."""

    def table(self, split: str, predictions: Mapping[str, np.ndarray], shuffled: Mapping[str, np.ndarray]) -> str:
        """The split's results beside their controls, for people to read."""
