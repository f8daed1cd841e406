"""Fully connected layers in place of self-attention (paper, section 3.1, model ablation)."""

import itertools

import jax
from flax import nnx

from aloe.attention.dropout import DropoutKeys
from aloe.model.config import ModelConfig
from aloe.model.layers import drop, linear, scaled_init


class MLP(nnx.Module):
    """Layers with ReLU on the whole flattened sequence. A tower, see `aloe.model.tower`.

    The single output is that of the last layer. The heads read it in place of CLS, and f maps it to the latents of all
    objects at once (the paper does not say what f reads). At the paper's size this has 21.7 M parameters, where the
    paper has 20 M, plus 6.6 M in f.
    """

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.width = config.hidden
        self.objects_per_output = config.frames * config.slots
        sizes = [config.tokens * config.token, *[config.hidden] * config.layers]
        self.layers = nnx.List(
            linear(config, inputs, outputs, scaled_init(2.0), rngs=rngs)
            for inputs, outputs in itertools.pairwise(sizes)
        )

    def __call__(self, tokens_BxTxP: jax.Array, keys: DropoutKeys | None = None) -> jax.Array:
        if tokens_BxTxP.shape[1] != self.config.tokens:
            raise ValueError(
                f"tokens of shape {tokens_BxTxP.shape} given to an mlp of {self.config.tokens} tokens: 1 + "
                f"{self.config.words} words + {self.config.frames} frames · {self.config.slots} slots"
            )
        if keys is not None:
            keys = keys.split(len(self.layers))
        x_Bx1xE = tokens_BxTxP.reshape(len(tokens_BxTxP), 1, -1)
        for place, layer in enumerate(self.layers):
            x_Bx1xE = drop(nnx.relu(layer(x_Bx1xE)), self.config, keys, place)
        return x_Bx1xE
