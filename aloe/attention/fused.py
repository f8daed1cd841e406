"""Relative attention with the kernels: what XLA computes before and after them."""

import jax
import jax.numpy as jnp
import numpy as np

from aloe.attention.attend import BEYOND, LARGEST_TILE, Settings, Tiles, attend, default_tiles
from aloe.attention.dropout import mask_words
from aloe.attention.kernels import LN2
from aloe.attention.positions import features, position_keys

LARGEST_SIZE = 128  # K
_SMALL, _MOST_OF_SMALL, _MOST = 64, 208, 128  # K; feature columns whose tiles fit in an A100's shared memory


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
    """Same contract as `aloe.attention.relative_attention`, for the bidirectional form, without attention weights."""
    size = q_BxTxHxK.shape[-1]
    content_BxTxHxK = (q_BxTxHxK.astype(jnp.float32) * size**-0.5 + content_bias_HxK) / LN2
    after = _after(3, lanes(size) - size)
    q_BxTxHxP = jnp.pad(content_BxTxHxK, after, constant_values=1).astype(q_BxTxHxK.dtype)
    kv_BxTx2xHxP = jnp.stack([jnp.pad(x, after) for x in (k_BxTxHxK, v_BxTxHxK)], axis=2)
    bias_HxK = position_bias_HxK - content_bias_HxK
    return attention(
        q_BxTxHxP, kv_BxTx2xHxP, relative_ExHxK, bias_HxK, dropout=dropout, interpret=interpret, tiles=tiles
    )[..., :size]


def attention(
    q_BxTxHxP: jax.Array,
    kv_BxTx2xHxP: jax.Array,
    relative_ExHxK: jax.Array,
    bias_HxK: jax.Array,
    *,
    dropout: tuple[float, jax.Array] | None,
    interpret: bool = False,
    tiles: Tiles | None = None,
) -> jax.Array:
    """The same, with queries, keys and values in the kernels' layout, which projections can produce directly.

    Args:
      q_BxTxHxP: P = lanes(K); scaled, with the content bias added, and in units of ln 2; lane K is 1.
      kv_BxTx2xHxP: keys and values; lanes after K are 0.
      relative_ExHxK: as in `aloe.attention.relative_attention`.
      bias_HxK: the position bias minus the content bias.
      dropout, interpret, tiles: as in `relative_attention`.

    Returns:
      Outputs [B, T, H, P].
    """
    _, tokens, heads, _ = q_BxTxHxP.shape
    size, dtype = relative_ExHxK.shape[-1], q_BxTxHxP.dtype
    rate, words = 0.0, None
    if dropout is not None and dropout[0] > 0:
        rate, words = dropout[0], mask_words(dropout[1], (heads, tokens, tokens))
    keys_TxRxHxP = _keys(relative_ExHxK, bias_HxK / LN2, tokens).astype(dtype)
    features_SxR = jnp.asarray(_features(tokens, len(relative_ExHxK)), dtype)
    settings = Settings(size, rate, tiles or default_tiles(size, features_SxR.shape[1], dtype), interpret)
    return attend(settings, q_BxTxHxP, kv_BxTx2xHxP, keys_TxRxHxP, features_SxR, words)


def lanes(size: int) -> int:
    """P, the kernels' lanes for heads of K = `size`; a lane of ones carries what positions add to all queries alike."""
    return _multiple(size + 1, 8)


def most_columns(size: int) -> int:
    """The most columns of the feature array that the kernels support for heads of K = `size`."""
    return _MOST_OF_SMALL if size <= _SMALL else _MOST


def columns(tokens: int, width: int) -> int:
    """Columns of the feature array: R, one that masks, and padding to a multiple of 8."""
    return _multiple(features(tokens, width)[0].shape[1] + 1, 8)


def _features(tokens: int, width: int) -> np.ndarray:
    """Features of the tokens, and the one that masks what lies beyond them, as `attend` takes them."""
    features_TxR, _ = features(tokens, width)
    slots, rank = _multiple(tokens, LARGEST_TILE), features_TxR.shape[1]
    features_SxR = np.zeros((slots, columns(tokens, width)))
    features_SxR[:tokens, :rank] = features_TxR
    features_SxR[tokens:, -1] = BEYOND
    return features_SxR


def _keys(relative_ExHxK: jax.Array, bias_HxK: jax.Array, tokens: int) -> jax.Array:
    """Position keys of all features, [T, R, H, P]; lane K holds what the bias adds, and the 1 that masks."""
    size = relative_ExHxK.shape[-1]
    of_bias_ExHx1 = jnp.sum(relative_ExHxK * bias_HxK, axis=-1, keepdims=True)
    relative_ExHxP = jnp.pad(
        jnp.concatenate([relative_ExHxK, of_bias_ExHx1], axis=-1), _after(2, lanes(size) - size - 1)
    )
    keys_TxRxHxP = position_keys(relative_ExHxP, tokens)
    rank = keys_TxRxHxP.shape[1]
    needed = columns(tokens, len(relative_ExHxK))
    mask = np.zeros((needed, 1, lanes(size)))
    mask[-1, 0, size] = 1
    padded = jnp.pad(keys_TxRxHxP, ((0, 0), (0, needed - rank), (0, 0), (0, 0)))
    return padded + jnp.asarray(mask, keys_TxRxHxP.dtype)


def _multiple(number: int, of: int) -> int:
    return -(-number // of) * of


def _after(axes: int, count: int) -> list[tuple[int, int]]:
    """Padding at the end of the last axis, which follows `axes` others."""
    return [(0, 0)] * axes + [(0, count)]
