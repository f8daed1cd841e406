"""The tower, which is what differs between architectures: it maps tokens to the outputs that heads and f read."""

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
    """Maps tokens to a sequence of outputs. The first is read by the heads, and the last ones represent the objects.

    Attributes:
      width: E, of an output.
      objects_per_output: how many objects one output represents: the last F·N / objects_per_output outputs represent
        all of them, in the order of their tokens.
    """

    width: int
    objects_per_output: int

    def __call__(self, tokens_BxTxP: jax.Array, /, keys: DropoutKeys | None = None) -> jax.Array:
        """Outputs [B, S, E] in the type of the computation; their number S depends on the tower.

        Args:
          tokens_BxTxP: CLS, words, and objects frame by frame; P is the latent size plus two modality bits.
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
