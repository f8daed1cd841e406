"""The transformer: pre-LayerNorm blocks of relative attention and a feed-forward part, as in the released code."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from aloe.attention.dropout import DropoutKeys
from aloe.model.block import Block, Site
from aloe.model.config import ModelConfig
from aloe.model.fused_block import chosen_block
from aloe.model.layers import drop, linear, scaled_init

STACKED = "blocks"  # if a parameter's path contains this name, its leading axis is the layer


class Transformer(nnx.Module):
    """An input projection with ReLU, then the blocks, with no LayerNorm after the last.

    As a tower (see `aloe.model.tower`) it is global attention, between CLS, words and all objects (paper, section 2).
    """

    objects_per_output = 1

    def __init__(
        self,
        config: ModelConfig,
        *,
        rngs: nnx.Rngs,
        projection: nnx.Module | None = None,
        tokens: int | None = None,
    ):
        """Makes the layers.

        Args:
          config: sizes and paths.
          rngs: for the initial parameters.
          projection: maps the transformer's inputs to [B, T, E]; by default it is a Linear from tokens.
          tokens: length T of the sequences; by default `config.tokens`.
        """
        self.config = config
        self.width = config.width
        self.projection = projection or linear(config, config.token, config.width, scaled_init(2.0), rngs=rngs)

        block = chosen_block(config, tokens or config.tokens)

        @nnx.split_rngs(splits=config.layers)
        @nnx.vmap
        def stack(rngs: nnx.Rngs) -> Block:
            return block(config, rngs=rngs)

        self.blocks = stack(rngs)

    def __call__(self, inputs: Any, keys: DropoutKeys | None = None) -> jax.Array:
        return self._run(inputs, keys, return_weights=False)[0]

    def attention_weights(self, inputs: Any) -> jax.Array:
        """Attention weights [L, B, H, T, T] of query and key tokens in all layers, float32."""
        _, weights_LxBxHxTxT = self._run(inputs, None, return_weights=True)
        assert weights_LxBxHxTxT is not None
        return weights_LxBxHxTxT

    def _run(self, inputs: Any, keys: DropoutKeys | None, return_weights: bool) -> tuple[jax.Array, jax.Array | None]:
        """Outputs [B, T, E], and the attention weights of all layers if requested."""
        config = self.config
        first_keys = layer_keys = None
        if keys is not None:
            stages = keys.split(1 + config.layers, len(Site))
            first_keys, layer_keys = stages.at(0), stages.at(slice(1, None))
        x_BxTxE = nnx.relu(self.projection(inputs))
        x_BxTxE = drop(x_BxTxE, config, first_keys, Site.PROJECTION)

        graphdef, stacked = nnx.split(self.blocks)

        def run(x_BxTxE: jax.Array, layer: tuple[nnx.State, DropoutKeys | None]) -> tuple[jax.Array, jax.Array | None]:
            params, keys = layer
            return nnx.merge(graphdef, params)(x_BxTxE, keys, return_weights)

        if config.remat:
            run = jax.checkpoint(run, prevent_cse=not config.scanned)
        if config.scanned:
            return jax.lax.scan(run, x_BxTxE, (stacked, layer_keys))
        # The transpose of unstack is one concatenation; that of indexing layer by layer is a sum of padded arrays.
        leaves, structure = jax.tree.flatten((stacked, layer_keys))
        collected = []
        for layer in zip(*map(jnp.unstack, leaves), strict=True):
            x_BxTxE, weights_BxHxTxT = run(x_BxTxE, jax.tree.unflatten(structure, layer))
            collected.append(weights_BxHxTxT)
        return x_BxTxE, jax.tree.map(lambda *weights: jnp.stack(weights), *collected)
