"""The tower is what differs between the model's architectures: from tokens to the outputs that heads and f read."""

from collections.abc import Callable, Mapping
from typing import Protocol

import jax
from flax import nnx

from aloe.attention.dropout import DropoutKeys
from aloe.model.config import ModelConfig
from aloe.model.hierarchical import HierarchicalTransformer
from aloe.model.lstm import BidirectionalLSTM
from aloe.model.mlp import MLP
from aloe.model.transformer import Transformer


class Tower(Protocol):
    """Makes of tokens a sequence of outputs. The first of them answers, and the last ones stand for the objects.

    Attributes:
      width: E, of an output.
      objects_per_output: how many objects one output stands for: the last F·N / objects_per_output outputs stand for
        all of them, in the order of their tokens.
    """

    width: int
    objects_per_output: int

    def __call__(self, tokens_BxTxP: jax.Array, /, keys: DropoutKeys | None = None) -> jax.Array:
        """Outputs [B, S, E] in the type of the computation; how many, S, is the tower's own matter.

        Args:
          tokens_BxTxP: CLS, words, and objects frame by frame; P is the latent size and its two bits.
          keys: for dropout, when training.
        """


TOWERS: Mapping[str, Callable[..., Tower]] = {
    "transformer": Transformer,
    "hierarchical": HierarchicalTransformer,
    "mlp": MLP,
    "lstm": BidirectionalLSTM,
}


def make_tower(config: ModelConfig, *, rngs: nnx.Rngs) -> Tower:
    return TOWERS[config.architecture](config, rngs=rngs)
