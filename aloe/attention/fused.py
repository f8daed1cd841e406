"""Relative attention by the kernels: what XLA does before and after them."""

import jax
import jax.numpy as jnp
import numpy as np

from aloe.attention.attend import BEYOND, LARGEST_TILE, Settings, Tiles, attend, default_tiles
from aloe.attention.dropout import mask_words
from aloe.attention.kernels import LN2
from aloe.attention.positions import features, position_keys

LARGEST_SIZE = 128  # K


def relative_attention(
    q_BxTxHxK: jax.Array,
    k_BxTxHxK: jax.Array,
    v_BxTxHxK: jax.Array,
    relative_ExHxK: jax.Array,
    content_bias_HxK: jax.Array,
    position_bias_HxK: jax.Array,
    *,
    dropout: tuple[float, jax.Array] | None,
    interpret: bool = False,
    tiles: Tiles | None = None,
) -> jax.Array:
    """As `aloe.attention.relative_attention`, in the bidirectional form and without the attention weights."""
    _, tokens, heads, size = q_BxTxHxK.shape
    dtype = q_BxTxHxK.dtype
    rate, words = 0.0, None
    if dropout is not None and dropout[0] > 0:
        rate, words = dropout[0], mask_words(dropout[1], (heads, tokens, tokens))

    content_BxTxHxK = (q_BxTxHxK.astype(jnp.float32) * size**-0.5 + content_bias_HxK) / LN2
    lanes = _multiple(size + 1, 8)
    # Lanes of ones take the rows of `keys` with what positions add for every query alike.
    q_BxTxHxP = jnp.pad(content_BxTxHxK, _after(3, lanes - size), constant_values=1).astype(dtype)
    k_BxTxHxP, v_BxTxHxP = (jnp.pad(x, _after(3, lanes - size)) for x in (k_BxTxHxK, v_BxTxHxK))
    keys_TxRxHxP = _keys(relative_ExHxK, (position_bias_HxK - content_bias_HxK) / LN2, tokens, lanes).astype(dtype)
    coefficients_BxTxHxR = jnp.einsum("bthp,trhp->bthr", q_BxTxHxP, keys_TxRxHxP)
    features_SxR = jnp.asarray(_features(tokens, len(relative_ExHxK)), dtype)
    settings = Settings(size, rate, tiles or default_tiles(size, features_SxR.shape[1], dtype), interpret)
    return attend(settings, q_BxTxHxP, k_BxTxHxP, v_BxTxHxP, coefficients_BxTxHxR, features_SxR, words)[..., :size]


def _features(tokens: int, width: int) -> np.ndarray:
    """Features of tokens, and the one that masks what lies beyond them, as `kernels.attend` takes them."""
    features_TxR, _ = features(tokens, width)
    slots, rank = _multiple(tokens, LARGEST_TILE), features_TxR.shape[1]
    features_SxR = np.zeros((slots, _multiple(rank + 1, 8)))
    features_SxR[:tokens, :rank] = features_TxR
    features_SxR[tokens:, -1] = BEYOND
    return features_SxR


def _keys(relative_ExHxK: jax.Array, bias_HxK: jax.Array, tokens: int, lanes: int) -> jax.Array:
    """Position keys of all features, [T, R, H, P]; the lane after K has what the bias adds, and the 1 that masks."""
    size = relative_ExHxK.shape[-1]
    keys_TxRxHxK = position_keys(relative_ExHxK, tokens)
    of_bias_TxRxHx1 = jnp.einsum("trhk,hk->trh", keys_TxRxHxK, bias_HxK)[..., None]
    rank = keys_TxRxHxK.shape[1]
    columns = _multiple(rank + 1, 8)
    mask = np.zeros((columns, 1, lanes))
    mask[-1, 0, size] = 1
    keys = jnp.concatenate([keys_TxRxHxK, of_bias_TxRxHx1], axis=-1)
    return jnp.pad(keys, ((0, 0), (0, columns - rank), (0, 0), (0, lanes - size - 1))) + jnp.asarray(mask, keys.dtype)


def _multiple(number: int, of: int) -> int:
    return -(-number // of) * of


def _after(axes: int, count: int) -> list[tuple[int, int]]:
    """Padding after the last axis, which `axes` others precede."""
    return [(0, 0)] * axes + [(0, count)]
