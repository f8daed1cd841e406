"""Plain attention, and ways to compute its position logits, to be measured against `aloe.attention.relative`.

The ways take (q_BxTxHxK, relative_ExHxK, offset) and return q_i · r(i − j + offset) for all i, j: [B, H, T, T] in
float32.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aloe.attention.definition import frequencies, sinusoids
from aloe.attention.dropout import kept_mask

PositionLogits = Callable[..., jax.Array]
Attention = Callable[..., tuple[jax.Array, jax.Array | None]]  # takes what `relative.relative_attention` does


def shift(q_BxTxHxK: jax.Array, relative_ExHxK: jax.Array, offset: int = 0) -> jax.Array:
    """Logits of all 2T − 1 distances for every query, then row i is shifted (Dai et al., 2019, appendix B).

    The shift is a pad and a reshape: after adding a column, rows made one shorter each begin one column earlier.
    """
    batch, tokens, heads, _ = q_BxTxHxK.shape
    distances_P = np.arange(tokens - 1, -tokens, -1) + offset
    keys_PxHxK = jnp.einsum("pe,ehk->phk", jnp.asarray(sinusoids(distances_P, len(relative_ExHxK))), relative_ExHxK)
    logits_BxHxTxP = jnp.einsum(
        "bihk,phk->bhip", q_BxTxHxK, keys_PxHxK.astype(q_BxTxHxK.dtype), preferred_element_type=_wide(q_BxTxHxK)
    )
    padded = jnp.pad(logits_BxHxTxP, ((0, 0), (0, 0), (0, 0), (1, 0)))
    shifted = padded.reshape(batch, heads, 2 * tokens**2)[..., tokens:]
    return shifted.reshape(batch, heads, tokens, 2 * tokens - 1)[..., :tokens]


def angle_addition(q_BxTxHxK: jax.Array, relative_ExHxK: jax.Array, offset: int = 0) -> jax.Array:
    """One dot product of width E per pair: the sinusoids of i − j are products of those of i and of j.

    With a query's weights s and c for the sine and the cosine of a frequency w,

        s·sin w(i − j) + c·cos w(i − j) = (s·sin wi + c·cos wi)·cos wj + (c·sin wi − s·cos wi)·sin wj.

    Positions are counted from the middle of the sequence, which keeps the rotations of s and c smallest.
    """
    tokens, width = q_BxTxHxK.shape[1], len(relative_ExHxK)
    middle = (tokens - 1) / 2
    weights = jnp.einsum("bihk,ehk->bihe", q_BxTxHxK, relative_ExHxK.astype(q_BxTxHxK.dtype))
    sine, cosine = jnp.split(weights, 2, axis=-1)
    angles_TxM = (np.arange(tokens) - middle + offset)[:, None] * frequencies(width)
    sin, cos = (jnp.asarray(f(angles_TxM)[:, None], q_BxTxHxK.dtype) for f in (np.sin, np.cos))
    turned_BxTxHxE = jnp.concatenate([cosine * sin - sine * cos, sine * sin + cosine * cos], axis=-1)
    waves_TxE = jnp.asarray(sinusoids(np.arange(tokens) - middle, width), q_BxTxHxK.dtype)
    return jnp.einsum("bihe,je->bhij", turned_BxTxHxE, waves_TxE, preferred_element_type=_wide(q_BxTxHxK))


def recomputed(attention: Attention) -> Attention:
    """The same, but with no [T, T] array saved for the backward pass: these are recomputed, as in `relative`."""

    def relative_attention(*arrays: jax.Array, **options: Any) -> tuple[jax.Array, jax.Array | None]:
        return jax.checkpoint(functools.partial(attention, **options))(*arrays)

    return relative_attention


def differentiated(position_logits: PositionLogits) -> Attention:
    """Attention written the obvious way around `position_logits`, and differentiated by JAX.

    It replaces `aloe.attention.relative.relative_attention`, and takes the same arguments.
    """

    def relative_attention(
        q_BxTxHxK: jax.Array,
        k_BxTxHxK: jax.Array,
        v_BxTxHxK: jax.Array,
        relative_ExHxK: jax.Array,
        content_bias_HxK: jax.Array,
        position_bias_HxK: jax.Array,
        *,
        form: str,
        dropout: tuple[float, jax.Array] | None,
        return_weights: bool,
    ) -> tuple[jax.Array, jax.Array | None]:
        dtype = q_BxTxHxK.dtype
        q = q_BxTxHxK * q_BxTxHxK.shape[-1] ** -0.5
        position_q = q + position_bias_HxK.astype(dtype)
        # Batch axes first: XLA's CPU backend is two to three times slower on products with non-adjacent batch axes.
        q_BxHxTxK, k_BxHxTxK, v_BxHxTxK = (
            jnp.swapaxes(x, 1, 2) for x in (q + content_bias_HxK.astype(dtype), k_BxTxHxK, v_BxTxHxK)
        )
        logits = jnp.einsum("bhik,bhjk->bhij", q_BxHxTxK, k_BxHxTxK, preferred_element_type=_wide(q))
        positions = position_logits(position_q, relative_ExHxK)
        if form == "released":
            positions = _wrap(positions, position_logits(position_q, relative_ExHxK, offset=q.shape[1]))
        weights_BxHxTxT = jax.nn.softmax(logits + positions, axis=-1)

        used = weights_BxHxTxT.astype(dtype)
        if dropout is not None:
            rate, keys_B = dropout
            used = jnp.where(kept_mask(keys_B, rate, used.shape[1:]), used, 0)
            v_BxHxTxK = v_BxHxTxK / (1 - rate)
        out_BxTxHxK = jnp.swapaxes(jnp.einsum("bhij,bhjk->bhik", used, v_BxHxTxK), 1, 2)
        return out_BxTxHxK, weights_BxHxTxT if return_weights else None

    return relative_attention


def _wrap(near_BxHxTxT: jax.Array, far_BxHxTxT: jax.Array) -> jax.Array:
    """The released form: `near` up to the diagonal, then a 0, then the next row of `far`, T tokens farther away."""
    tokens = near_BxHxTxT.shape[-1]
    beyond = np.arange(tokens) - np.arange(tokens)[:, None]  # j - i
    return jnp.where(beyond <= 0, near_BxHxTxT, jnp.where(beyond > 1, jnp.roll(far_BxHxTxT, -1, axis=2), 0))


def _wide(x: jax.Array) -> jnp.dtype:
    """The dtype of logits: float32, or float64 for float64."""
    return jnp.promote_types(x.dtype, jnp.float32)
