"""The transformer: pre-LayerNorm blocks of relative attention and a feed-forward part, as in the released code."""

import enum
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from aloe.attention import relative_attention
from aloe.attention.dropout import DropoutKeys
from aloe.model.config import ModelConfig
from aloe.model.layers import default_init, drop, linear, scaled_init

STACKED = "blocks"  # where a parameter's path has this name, the leading axis of the parameter is the layer


class Site(enum.IntEnum):
    """The places of dropout, which are those of the released code; each draws with keys of its own."""

    PROJECTION = 0
    POSITIONS = 1
    WEIGHTS = 2
    ATTENTION = 3
    HIDDEN = 4
    MLP = 5


class Attention(nnx.Module):
    """Multi-head attention with relative positions; all of q, k, v and relative keys without bias."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        self.config = config
        project = functools.partial(
            linear, config, config.width, config.width, _layer_init(config), use_bias=False, rngs=rngs
        )
        self.query = project()
        self.key = project()
        self.value = project()
        self.relative_key = project()
        self.content_bias = nnx.Param(_head_bias_init(rngs.params(), config))
        self.position_bias = nnx.Param(_head_bias_init(rngs.params(), config))
        self.output = linear(config, config.width, config.width, default_init(config.width), rngs=rngs)

    def __call__(
        self, x_BxTxE: jax.Array, keys: DropoutKeys | None, return_weights: bool
    ) -> tuple[jax.Array, jax.Array | None]:
        """Returns the attended x, and the attention weights [B, H, T, T] if asked for."""
        rate = self.config.dropout
        relative_ExE = self.relative_key.kernel[...]
        if keys is not None:
            relative_ExE = _drop_frequencies(relative_ExE, rate, keys.at(Site.POSITIONS).step)

        def by_head(array: jax.Array) -> jax.Array:
            return array.reshape(*array.shape[:-1], self.config.heads, self.config.token)

        out_BxTxHxK, weights_BxHxTxT = relative_attention(
            by_head(self.query(x_BxTxE)),
            by_head(self.key(x_BxTxE)),
            by_head(self.value(x_BxTxE)),
            by_head(relative_ExE),
            self.content_bias[...],
            self.position_bias[...],
            form=self.config.relative_form,
            dropout=None if keys is None else (rate, keys.at(Site.WEIGHTS).examples_B),
            return_weights=return_weights,
        )
        return self.output(out_BxTxHxK.reshape(x_BxTxE.shape)), weights_BxHxTxT


class FeedForward(nnx.Module):
    """A hidden layer with ReLU."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.expand = linear(config, config.width, config.hidden, _layer_init(config), rngs=rngs)
        self.contract = linear(config, config.hidden, config.width, _layer_init(config), rngs=rngs)

    def __call__(self, x_BxTxE: jax.Array, keys: DropoutKeys | None) -> jax.Array:
        hidden_BxTxM = nnx.relu(self.expand(x_BxTxE))
        return self.contract(drop(hidden_BxTxM, self.config, keys, Site.HIDDEN))


class Block(nnx.Module):
    """x += Attention(LayerNorm(x)), then x += FeedForward(LayerNorm(x))."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        self.config = config
        norm = functools.partial(
            nnx.LayerNorm, config.width, epsilon=1e-5, use_fast_variance=False, dtype=config.compute_dtype, rngs=rngs
        )
        self.attention_norm = norm()
        self.attention = Attention(config, rngs=rngs)
        self.mlp_norm = norm()
        self.mlp = FeedForward(config, rngs=rngs)

    def __call__(
        self, x_BxTxE: jax.Array, keys: DropoutKeys | None, return_weights: bool
    ) -> tuple[jax.Array, jax.Array | None]:
        """Returns the new x, and the attention weights [B, H, T, T] if asked for."""
        attended_BxTxE, weights_BxHxTxT = self.attention(self.attention_norm(x_BxTxE), keys, return_weights)
        x_BxTxE = x_BxTxE + drop(attended_BxTxE, self.config, keys, Site.ATTENTION)
        mixed_BxTxE = self.mlp(self.mlp_norm(x_BxTxE), keys)
        return x_BxTxE + drop(mixed_BxTxE, self.config, keys, Site.MLP), weights_BxHxTxT


class Transformer(nnx.Module):
    """An input projection with ReLU, then the blocks, with no LayerNorm after the last.

    As a tower, see `aloe.model.tower`, it is global attention: between CLS, words and all objects (paper, section 2).
    """

    objects_per_output = 1

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs, projection: nnx.Module | None = None):
        """`projection` maps what the transformer is given to [B, T, E]; by default it is a Linear from tokens."""
        self.config = config
        self.width = config.width
        self.projection = projection or linear(config, config.token, config.width, scaled_init(2.0), rngs=rngs)

        @nnx.split_rngs(splits=config.layers)
        @nnx.vmap
        def stack(rngs: nnx.Rngs) -> Block:
            return Block(config, rngs=rngs)

        self.blocks = stack(rngs)

    def __call__(self, inputs: Any, keys: DropoutKeys | None = None) -> jax.Array:
        return self._run(inputs, keys, return_weights=False)[0]

    def attention_weights(self, inputs: Any) -> jax.Array:
        """Attention weights [L, B, H, T, T] of query and key tokens in all layers, float32."""
        _, weights_LxBxHxTxT = self._run(inputs, None, return_weights=True)
        assert weights_LxBxHxTxT is not None
        return weights_LxBxHxTxT

    def _run(self, inputs: Any, keys: DropoutKeys | None, return_weights: bool) -> tuple[jax.Array, jax.Array | None]:
        """Outputs [B, T, E], and if asked for the weights of all layers."""
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
            run = jax.checkpoint(run, prevent_cse=not config.scan)
        if config.scan:
            return jax.lax.scan(run, x_BxTxE, (stacked, layer_keys))
        # The transpose of unstack is one concatenation, that of indexing layer by layer a sum of padded arrays.
        leaves, structure = jax.tree.flatten((stacked, layer_keys))
        collected = []
        for layer in zip(*map(jnp.unstack, leaves), strict=True):
            x_BxTxE, weights_BxHxTxT = run(x_BxTxE, jax.tree.unflatten(structure, layer))
            collected.append(weights_BxHxTxT)
        return x_BxTxE, jax.tree.map(lambda *weights: jnp.stack(weights), *collected)


def _layer_init(config: ModelConfig) -> nnx.Initializer:
    return scaled_init(2 / np.sqrt(config.layers))


def _head_bias_init(key: jax.Array, config: ModelConfig) -> jax.Array:
    """TensorFlow's default for the released shape [1, H, 1, K]: Glorot uniform, with fans of H and H·K."""
    return nnx.initializers.glorot_uniform()(key, (1, config.heads, 1, config.token))[0, :, 0]


def _drop_frequencies(relative_ExE: jax.Array, rate: float, key: jax.Array) -> jax.Array:
    """Dropout of position encodings: whole sines and cosines are dropped, for every distance at once.

    The released code drops each number of its table of encodings by itself. Then logits would no more be sums of
    sinusoids in the distance, on which the fast paths of attention rest. As there, all examples of a step share it.
    """
    kept_E = jax.random.bernoulli(key, 1 - rate, relative_ExE.shape[:1])
    return relative_ExE * (kept_E / (1 - rate))[:, None]
