"""Relative attention in plain XLA: differentiable, on any device, with neither a shift nor a gather of the logits.

The position logit (q_i + b) · r(i − j) is, in j, a sum of sinusoids of E/2 frequencies between 1 and 1/10000. Over T
tokens such sums fill far fewer dimensions than T or E (56 for T = 233, E = 180; 105 for T = 641, E = 304), so the
logits at R well-chosen *nodes* j determine those at all others by linear interpolation with fixed weights:

    position logit [i, j] = sum over nodes n of  ((q_i + b) · r(i − n)) · interpolation [j, n]

which is exact to about 1e-9, and two matrix products where a shift would pass [B, H, T, T] through memory again.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from aloe.attention.definition import sinusoids
from aloe.attention.dropout import kept_mask, kept_share

_TOLERANCE = 1e-9  # of the interpolation, relative: far below the rounding of float32


@functools.lru_cache(maxsize=16)
def interpolation(tokens: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes [R] among the tokens, and weights [T, R] that interpolate sums of sinusoids from them (float64).

    A pivoted QR factorisation picks as nodes tokens whose sinusoids span those of all others: the interpolative
    decomposition of Cheng et al., 2005 ("On the compression of low rank matrices"). Then nodes are swapped for others
    until no weight exceeds 1, as in Goreinov et al., 2010 ("How to find a good submatrix"), because larger weights
    would blow up what bfloat16 rounds: at T = 233 its error is 1.5 times that of the plain sum without the swaps, and
    1.2 times with them.
    """
    waves_TxE = sinusoids(np.arange(tokens) - (tokens - 1) / 2, width)
    triangle, order = scipy.linalg.qr(waves_TxE.T, mode="r", pivoting=True)
    pivots = np.abs(np.diag(triangle))
    rank = int(np.sum(pivots > _TOLERANCE * pivots[0]))
    weights_TxR = np.empty((tokens, rank))
    weights_TxR[order[:rank]] = np.eye(rank)
    weights_TxR[order[rank:]] = scipy.linalg.solve_triangular(triangle[:rank, :rank], triangle[:rank, rank:]).T
    nodes_R = order[:rank].copy()
    while True:
        token, node = np.unravel_index(np.abs(weights_TxR).argmax(), weights_TxR.shape)
        largest = weights_TxR[token, node]
        if abs(largest) < 1.01:
            return nodes_R, weights_TxR
        change_R = weights_TxR[token] - np.eye(rank)[node]
        weights_TxR -= np.outer(weights_TxR[:, node], change_R / largest)
        nodes_R[node] = token


def position_features(q_BxTxHxK: jax.Array, relative_ExHxK: jax.Array, offset: int = 0) -> tuple[jax.Array, jax.Array]:
    """What gives q_i · r(i − j + offset) as a product: features [B, T, H, R] of i, and weights [T, R] of j."""
    tokens, width = q_BxTxHxK.shape[1], relative_ExHxK.shape[0]
    nodes_R, weights_TxR = interpolation(tokens, width)
    distances_P = np.arange(1 - tokens, tokens) + offset
    keys_PxHxK = jnp.einsum("pe,ehk->phk", jnp.asarray(sinusoids(distances_P, width)), relative_ExHxK)
    seen_from = jax.vmap(lambda node: jax.lax.dynamic_slice_in_dim(keys_PxHxK, tokens - 1 - node, tokens))
    keys_RxTxHxK = seen_from(jnp.asarray(nodes_R)).astype(q_BxTxHxK.dtype)
    features_BxTxHxR = jnp.einsum("bihk,rihk->bihr", q_BxTxHxK, keys_RxTxHxK)
    return features_BxTxHxR, jnp.asarray(weights_TxR, q_BxTxHxK.dtype)


def position_logits(q_BxTxHxK: jax.Array, relative_ExHxK: jax.Array, offset: int = 0) -> jax.Array:
    """q_i · r(i − j + offset) for all i, j: [B, H, T, T], float32."""
    features_BxTxHxR, weights_TxR = position_features(q_BxTxHxK, relative_ExHxK, offset)
    return jnp.einsum("bihr,jr->bhij", features_BxTxHxR, weights_TxR, preferred_element_type=_wide(q_BxTxHxK))


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
) -> tuple[jax.Array, jax.Array]:
    """As `aloe.attention.relative_attention`, and always with the attention weights."""
    dtype = q_BxTxHxK.dtype
    q = q_BxTxHxK * q_BxTxHxK.shape[-1] ** -0.5
    position_q = q + position_bias_HxK.astype(dtype)
    # Batch axes first: XLA's CPU backend is two to three times slower on products whose batch axes lie apart.
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
        v_BxHxTxK = v_BxHxTxK / kept_share(rate)
    return jnp.swapaxes(jnp.einsum("bhij,bhjk->bhik", used, v_BxHxTxK), 1, 2), weights_BxHxTxT


def _wide(x: jax.Array) -> jnp.dtype:
    """The type of logits: float32, or float64 for float64."""
    return jnp.promote_types(x.dtype, jnp.float32)


def _wrap(near_BxHxTxT: jax.Array, far_BxHxTxT: jax.Array) -> jax.Array:
    """The released form: `near` up to the diagonal, then a 0, then the next row of `far`, which is T tokens farther."""
    tokens = near_BxHxTxT.shape[-1]
    beyond = np.arange(tokens) - np.arange(tokens)[:, None]  # j - i
    return jnp.where(beyond <= 0, near_BxHxTxT, jnp.where(beyond > 1, jnp.roll(far_BxHxTxT, -1, axis=2), 0))
