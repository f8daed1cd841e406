"""A transformer block: relative attention and a feed-forward part, each preceded by LayerNorm."""

import enum
import functools

import jax
import numpy as np
from flax import nnx

from aloe.attention import relative_attention
from aloe.attention.dropout import DropoutKeys, relu_dropout
from aloe.model.config import ModelConfig
from aloe.model.layers import default_init, drop, linear, scaled_init


class Site(enum.IntEnum):
    """The dropout sites, which are those of the released code; each has its own keys."""

    PROJECTION = 0
    POSITIONS = 1
    WEIGHTS = 2
    ATTENTION = 3
    HIDDEN = 4
    MLP = 5


class Attention(nnx.Module):
    """Multi-head attention with relative positions; the projections to q, k, v and relative keys have no bias."""

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
        """Returns the attended x, and the attention weights [B, H, T, T] if requested."""

        def by_head(array: jax.Array) -> jax.Array:
            return array.reshape(*array.shape[:-1], self.config.heads, self.config.token)

        out_BxTxHxK, weights_BxHxTxT = relative_attention(
            by_head(self.query(x_BxTxE)),
            by_head(self.key(x_BxTxE)),
            by_head(self.value(x_BxTxE)),
            self.relative_weights(keys),
            self.content_bias[...],
            self.position_bias[...],
            form=self.config.relative_form,
            dropout=None if keys is None else (self.config.dropout, keys.at(Site.WEIGHTS).examples_B),
            return_weights=return_weights,
        )
        return self.output(out_BxTxHxK.reshape(x_BxTxE.shape)), weights_BxHxTxT

    def relative_weights(self, keys: DropoutKeys | None) -> jax.Array:
        """Weights of the relative keys, [E, H, K], after dropout of frequencies."""
        relative_ExE = self.relative_key.kernel[...]
        if keys is not None:
            relative_ExE = _drop_frequencies(relative_ExE, self.config.dropout, keys.at(Site.POSITIONS).step)
        return relative_ExE.reshape(-1, self.config.heads, self.config.token)


class FeedForward(nnx.Module):
    """A hidden layer with ReLU."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.expand = linear(config, config.width, config.hidden, _layer_init(config), rngs=rngs)
        self.contract = linear(config, config.hidden, config.width, _layer_init(config), rngs=rngs)

    def __call__(self, x_BxTxE: jax.Array, keys: DropoutKeys | None) -> jax.Array:
        hidden_BxTxM = self.expand(x_BxTxE)
        if keys is None:
            return self.contract(nnx.relu(hidden_BxTxM))
        return self.contract(relu_dropout(hidden_BxTxM, self.config.dropout, keys.at(Site.HIDDEN).examples_B))


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
        """Returns the new x, and the attention weights [B, H, T, T] if requested."""
        attended_BxTxE, weights_BxHxTxT = self.attention(
            self.normed(self.attention_norm, x_BxTxE), keys, return_weights
        )
        x_BxTxE = x_BxTxE + drop(attended_BxTxE, self.config, keys, Site.ATTENTION)
        mixed_BxTxE = self.mlp(self.normed(self.mlp_norm, x_BxTxE), keys)
        return x_BxTxE + drop(mixed_BxTxE, self.config, keys, Site.MLP), weights_BxHxTxT

    def normed(self, norm: nnx.LayerNorm, x_BxTxE: jax.Array) -> jax.Array:
        """LayerNorm of x, recomputed in the backward pass: plain differentiation would save float32 arrays of each."""
        again = jax.checkpoint(lambda x_BxTxE: norm(x_BxTxE), prevent_cse=not self.config.scanned)
        return again(x_BxTxE)


def _layer_init(config: ModelConfig) -> nnx.Initializer:
    return scaled_init(2 / np.sqrt(config.layers))


def _head_bias_init(key: jax.Array, config: ModelConfig) -> jax.Array:
    """TensorFlow's default for the released shape [1, H, 1, K]: Glorot uniform, with fans of H and H·K."""
    return nnx.initializers.glorot_uniform()(key, (1, config.heads, 1, config.token))[0, :, 0]


def _drop_frequencies(relative_ExE: jax.Array, rate: float, key: jax.Array) -> jax.Array:
    """Dropout of position encodings: whole sines and cosines are dropped, for every distance at once.

    The released code drops each number of its encoding table independently. Then logits would no longer be sums of
    sinusoids of the distance, which the fast paths of attention rely on. As there, all examples of a step share it.
    """
    kept_E = jax.random.bernoulli(key, 1 - rate, relative_ExE.shape[:1])
    return relative_ExE * (kept_E / (1 - rate))[:, None]
