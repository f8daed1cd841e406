"""Relative attention in plain XLA: differentiable, on any device, both forms."""

import jax
import jax.numpy as jnp
import numpy as np

from aloe.attention.dropout import kept_mask
from aloe.attention.positions import features, position_keys


def position_logits(q_BxTxHxK: jax.Array, relative_ExHxK: jax.Array, offset: int = 0) -> jax.Array:
    """q_i · r(i − j + offset) for all i, j: [B, H, T, T], float32."""
    tokens, dtype = q_BxTxHxK.shape[1], q_BxTxHxK.dtype
    keys_TxRxHxK = position_keys(relative_ExHxK, tokens, offset).astype(dtype)
    features_TxR = jnp.asarray(features(tokens, len(relative_ExHxK))[0], dtype)
    coefficients_BxHxTxR = jnp.einsum("bthk,trhk->bhtr", q_BxTxHxK, keys_TxRxHxK)
    return jnp.einsum("bhir,jr->bhij", coefficients_BxHxTxR, features_TxR, preferred_element_type=_wide(q_BxTxHxK))


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
        v_BxHxTxK = v_BxHxTxK / (1 - rate)
    return jnp.swapaxes(jnp.einsum("bhij,bhjk->bhik", used, v_BxHxTxK), 1, 2), weights_BxHxTxT


def _wide(x: jax.Array) -> jnp.dtype:
    """The type of logits: float32, or float64 for float64."""
    return jnp.promote_types(x.dtype, jnp.float32)


def _wrap(near_BxHxTxT: jax.Array, far_BxHxTxT: jax.Array) -> jax.Array:
    """The released form: `near` up to the diagonal, then a 0, then the next row of `far`, which is T tokens farther."""
    tokens = near_BxHxTxT.shape[-1]
    beyond = np.arange(tokens) - np.arange(tokens)[:, None]  # j - i
    return jnp.where(beyond <= 0, near_BxHxTxT, jnp.where(beyond > 1, jnp.roll(far_BxHxTxT, -1, axis=2), 0))
