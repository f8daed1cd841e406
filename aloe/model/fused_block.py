"""The block on NVIDIA GPUs: the same function of the same parameters, in few passes over memory.

LayerNorm scales and offsets, and the biases of the products after them, are folded into the weights of those products,
in float32 and once per step; the projections produce queries, keys and values in the layout of the attention kernels;
the rest is `aloe.dense`.
"""

import functools
import logging

import jax
import jax.numpy as jnp
from flax import nnx

from aloe import attention
from aloe.attention import fused
from aloe.attention.dropout import DropoutKeys, mask_words
from aloe.attention.kernels import LN2
from aloe.dense import feed_forward, residual
from aloe.dense.projection import padded, project, project_apart
from aloe.model.block import Block, Site
from aloe.model.config import ModelConfig
from aloe.model.layers import drop


def chosen_block(config: ModelConfig, tokens: int) -> type[Block]:
    """The block class that is fastest for a configuration and sequences of so many tokens on this machine's devices.

    Blocks that the attention kernels do not support, and those in float32, where computing products takes far longer
    than moving their data, are plain ones.
    """
    path = attention.chosen_path(config.relative_form, config.token, config.compute_dtype, tokens, config.width)
    block = FusedBlock if path == "kernels" and config.compute_dtype == jnp.bfloat16 else Block
    _log_once(block.__name__, path, tokens, config.width, config.dtype)
    return block


class FusedBlock(Block):
    """Same contract as `aloe.model.block.Block`, to which it falls back if attention weights are requested.

    Attributes:
      path: one of `aloe.attention.PATHS` except "xla".
    """

    path = "kernels"

    def __call__(
        self, x_BxTxE: jax.Array, keys: DropoutKeys | None, return_weights: bool
    ) -> tuple[jax.Array, jax.Array | None]:
        if return_weights:
            return super().__call__(x_BxTxE, keys, return_weights)
        width = x_BxTxE.shape[-1]

        def words(site: Site, lanes: int) -> tuple[jax.Array, jax.Array] | None:
            return None if keys is None else mask_words(keys.at(site).examples_B, (x_BxTxE.shape[1], lanes))

        x_BxTxE, h_BxTxW = residual.normalized_sum(self._residual_settings(self.attention_norm, None), x_BxTxE, None)
        branch = residual.Branch(
            self._attended(h_BxTxW, keys), _bias(self.attention.output), words(Site.ATTENTION, width)
        )
        x_BxTxE, h_BxTxW = residual.normalized_sum(self._residual_settings(self.mlp_norm, keys), x_BxTxE, branch)
        mixed_BxTxW = self._mixed(h_BxTxW, words(Site.HIDDEN, self.config.hidden))
        mixed_BxTxE = mixed_BxTxW[..., :width] + _bias(self.mlp.contract).astype(x_BxTxE.dtype)
        return x_BxTxE + drop(mixed_BxTxE, self.config, keys, Site.MLP), None

    def _residual_settings(self, norm: nnx.LayerNorm, keys: DropoutKeys | None) -> residual.Settings:
        rate = 0.0 if keys is None else self.config.dropout
        return residual.Settings(padded(self.config.width), norm.epsilon, rate, self.path)

    def _attended(self, h_BxTxW: jax.Array, keys: DropoutKeys | None) -> jax.Array:
        """Attention without its output bias, [B, T, W]."""
        config, own = self.config, self.attention
        batch, tokens, lanes = h_BxTxW.shape
        heads, size, slots = config.heads, config.token, fused.lanes(config.token)

        def by_head(linear: nnx.Linear) -> jax.Array:
            weights_WxE = _folded(self.attention_norm, linear.kernel[...], jnp.zeros(config.width))
            return jnp.pad(weights_WxE.reshape(lanes, heads, size), ((0, 0), (0, 0), (0, slots - size)))

        bias_HxP = jnp.pad(own.content_bias[...], ((0, 0), (0, slots - size)), constant_values=LN2)
        query_WxHxP = (by_head(own.query) * size**-0.5).at[config.width].add(bias_HxP) / LN2
        weights_Wx3xHxP = jnp.stack([query_WxHxP, by_head(own.key), by_head(own.value)], axis=1)
        out_BxTxHxP = fused.attention(
            *project_apart(h_BxTxW, weights_Wx3xHxP),
            own.relative_weights(keys),
            own.position_bias[...] - own.content_bias[...],
            dropout=None if keys is None else (config.dropout, keys.at(Site.WEIGHTS).examples_B),
            interpret=self.path == "interpreted",
        )
        output_HxKxE = own.output.kernel[...].reshape(heads, size, config.width)
        output_HxPxW = jnp.pad(output_HxKxE, ((0, 0), (0, slots - size), (0, lanes - config.width)))
        return project(out_BxTxHxP.reshape(batch, tokens, -1), output_HxPxW.reshape(-1, lanes))

    def _mixed(self, h_BxTxW: jax.Array, words: tuple[jax.Array, jax.Array] | None) -> jax.Array:
        """The feed-forward part without its output bias, [B, T, W]."""
        config, mlp = self.config, self.mlp
        more = -config.hidden % feed_forward.COLUMNS  # hidden units added as padding, which are 0
        expand_WxM = jnp.pad(_folded(self.mlp_norm, mlp.expand.kernel[...], _bias(mlp.expand)), ((0, 0), (0, more)))
        contract_MxW = jnp.pad(mlp.contract.kernel[...], ((0, more), (0, h_BxTxW.shape[-1] - config.width)))
        rate = 0.0
        if words is not None:
            rate, words = config.dropout, (words[0], jnp.pad(words[1], ((0, 0), (0, more))))
        return feed_forward.feed_forward(
            feed_forward.Settings(rate, self.path), h_BxTxW, expand_WxM, contract_MxW, words
        )


def _folded(norm: nnx.LayerNorm, kernel_ExN: jax.Array, bias_N: jax.Array) -> jax.Array:
    """Weights [W, N] that map a normalized row and its 1 to what kernel and bias map the LayerNorm output to."""
    assert norm.scale is not None
    scaled_ExN = norm.scale[...][:, None] * kernel_ExN
    of_one_N = jnp.dot(_bias(norm), kernel_ExN, precision=jax.lax.Precision.HIGHEST) + bias_N
    weights = jnp.concatenate([scaled_ExN, of_one_N[None]])
    return jnp.pad(weights, ((0, padded(len(kernel_ExN)) - len(weights)), (0, 0)))


@functools.lru_cache
def _log_once(block: str, path: str, tokens: int, width: int, dtype: str) -> None:
    logging.getLogger(__name__).info("%s: attention by %s, %d tokens, width %d, %s", block, path, tokens, width, dtype)


def _bias(layer: nnx.Linear | nnx.LayerNorm) -> jax.Array:
    assert layer.bias is not None
    return layer.bias[...]
