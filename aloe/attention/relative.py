"""Relative attention in plain XLA: differentiable, on any device, both forms.

A logit is one dot product, of a query concatenated with its coefficients and a key concatenated with its token's
features. Saved for the backward pass: these, the output and one number per query; [T, T] arrays are recomputed. Saved
by every layer, as in plain differentiation, they would dominate a step's memory and cost more to move than the product.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aloe.attention.dropout import kept, mask_words
from aloe.attention.positions import coefficients, features
from aloe.attention.precision import precision_of


class Operands(NamedTuple):
    """Operands of the logits.

    Attributes:
      q_BxHxTxK, k_BxHxTxK: queries, scaled and with the content bias added, and keys.
      near_BxHxTxR: coefficients of the queries; their products with the features are the position logits.
      far_BxHxTxR: in the released form, the coefficients where it wraps: of the next row, offset by T; else None.
    """

    q_BxHxTxK: jax.Array
    k_BxHxTxK: jax.Array
    near_BxHxTxR: jax.Array
    far_BxHxTxR: jax.Array | None


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
    """Same contract as `aloe.attention.relative_attention`."""
    dtype, tokens = q_BxTxHxK.dtype, q_BxTxHxK.shape[1]
    # Batch axes first: XLA's CPU backend is two to three times slower on products whose batch axes are not adjacent.
    q_BxHxTxK, k_BxHxTxK, v_BxHxTxK = (jnp.swapaxes(x, 1, 2) for x in (q_BxTxHxK, k_BxTxHxK, v_BxTxHxK))
    q_BxHxTxK = q_BxHxTxK * q_BxHxTxK.shape[-1] ** -0.5
    content_BxHxTxK, position_BxHxTxK = (
        q_BxHxTxK + bias[:, None].astype(dtype) for bias in (content_bias_HxK, position_bias_HxK)
    )
    far_BxHxTxR = None
    if form == "released":
        far_BxHxTxR = jnp.roll(coefficients(position_BxHxTxK, relative_ExHxK, tokens), -1, axis=2)
    operands = Operands(content_BxHxTxK, k_BxHxTxK, coefficients(position_BxHxTxK, relative_ExHxK), far_BxHxTxR)
    features_TxR = jnp.asarray(features(tokens, len(relative_ExHxK))[0], dtype)

    rate, words = 0.0, None
    if dropout is not None and dropout[0] > 0:
        rate, words = dropout[0], mask_words(dropout[1], (q_BxHxTxK.shape[1], tokens, tokens))
    out_BxTxHxK = jnp.swapaxes(attend(rate, operands, v_BxHxTxK, features_TxR, words), 1, 2)
    return out_BxTxHxK, jax.nn.softmax(logits(operands, features_TxR), axis=-1) if return_weights else None


def logits(operands: Operands, features_TxR: jax.Array) -> jax.Array:
    """Logits [B, H, T, T] of queries and keys: float32, or float64 for float64 operands."""
    near_BxHxTxT = _products(operands.q_BxHxTxK, operands.k_BxHxTxK, operands.near_BxHxTxR, features_TxR)
    if operands.far_BxHxTxR is None:
        return near_BxHxTxT
    # The released form: near up to the diagonal, then one position logit of 0, then far.
    far_BxHxTxT = _products(operands.q_BxHxTxK, operands.k_BxHxTxK, operands.far_BxHxTxR, features_TxR)
    content_BxHxTxT = _product("bhik,bhjk->bhij", operands.q_BxHxTxK, operands.k_BxHxTxK)
    beyond = np.arange(len(features_TxR)) - np.arange(len(features_TxR))[:, None]  # j - i
    return jnp.where(beyond <= 0, near_BxHxTxT, jnp.where(beyond > 1, far_BxHxTxT, content_BxHxTxT))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def attend(
    rate: float,
    operands: Operands,
    v_BxHxTxK: jax.Array,
    features_TxR: jax.Array,
    words: tuple[jax.Array, jax.Array] | None,
) -> jax.Array:
    """dropout(softmax(logits)) · v, [B, H, T, K] like v.

    Args:
      rate: dropout rate of the attention weights; 0 for none.
      operands, features_TxR: operands of the logits; the features get no gradient.
      v_BxHxTxK: values.
      words: `dropout.mask_words` of the mask [B, H, T, T]; None if the rate is 0.
    """
    return _forward(rate, operands, v_BxHxTxK, features_TxR, words)[0]


def _forward(rate: float, operands: Operands, v: jax.Array, features_TxR: jax.Array, words: tuple | None) -> tuple:
    logits_BxHxTxT = logits(operands, features_TxR)
    largest_BxHxTx1 = jnp.max(logits_BxHxTxT, axis=-1, keepdims=True)
    powers_BxHxTxT = jnp.exp(logits_BxHxTxT - largest_BxHxTx1)
    sum_BxHxTx1 = jnp.sum(powers_BxHxTxT, axis=-1, keepdims=True)
    used = _masked(powers_BxHxTxT, rate, words).astype(v.dtype)
    out = (_product("bhij,bhjk->bhik", used, v) / (sum_BxHxTx1 * (1 - rate))).astype(v.dtype)
    return out, (operands, v, features_TxR, words, largest_BxHxTx1 + jnp.log(sum_BxHxTx1), out)


def _backward(rate: float, saved: tuple, slope: jax.Array) -> tuple:
    operands, v, features_TxR, words, log_sum_BxHxTx1, out = saved
    logits_BxHxTxT, pull = jax.vjp(lambda operands: logits(operands, features_TxR), operands)
    weights_BxHxTxT = jnp.exp(logits_BxHxTxT - log_sum_BxHxTx1)
    wide = weights_BxHxTxT.dtype
    # Σ_j weight · its gradient, which the gradient of softmax subtracts: the product of the output and its gradient.
    common_BxHxTx1 = jnp.sum(slope.astype(wide) * out.astype(wide), axis=-1, keepdims=True)
    slope = (slope / (1 - rate)).astype(v.dtype)
    used = _masked(weights_BxHxTxT, rate, words).astype(v.dtype)
    of_v = _product("bhij,bhik->bhjk", used, slope).astype(v.dtype)
    of_weights_BxHxTxT = _masked(_product("bhik,bhjk->bhij", slope, v), rate, words)
    (of_operands,) = pull(weights_BxHxTxT * (of_weights_BxHxTxT - common_BxHxTx1))
    return of_operands, of_v, None, None


attend.defvjp(_forward, _backward)


def _masked(x_BxHxTxT: jax.Array, rate: float, words: tuple[jax.Array, jax.Array] | None) -> jax.Array:
    if words is None:
        return x_BxHxTxT
    rows_BxHxT, columns_BxHxT = words
    return jnp.where(kept(rows_BxHxT[..., :, None], columns_BxHxT[..., None, :], rate), x_BxHxTxT, 0)


@jax.custom_vjp
def _products(q: jax.Array, k: jax.Array, coefficients_BxHxTxR: jax.Array, features_TxR: jax.Array) -> jax.Array:
    """Content and position logits in one product: matrix units have rows for both, and one array less is moved."""
    return _product("bhic,bhjc->bhij", jnp.concatenate([q, coefficients_BxHxTxR], axis=-1), _beside(k, features_TxR))


def _products_backward(saved: tuple, slope_BxHxTxT: jax.Array) -> tuple:
    q, k, features_TxR = saved
    slope_BxHxTxT = slope_BxHxTxT.astype(q.dtype)
    of_both = _product("bhij,bhjc->bhic", slope_BxHxTxT, _beside(k, features_TxR)).astype(q.dtype)
    of_q, of_coefficients = jnp.split(of_both, [q.shape[-1]], axis=-1)
    # Plain differentiation would compute the gradient of the features too.
    of_k = _product("bhij,bhik->bhjk", slope_BxHxTxT, q).astype(k.dtype)
    return of_q, of_k, of_coefficients, None


_products.defvjp(lambda q, k, near, features: (_products(q, k, near, features), (q, k, features)), _products_backward)


def _beside(k_BxHxTxK: jax.Array, features_TxR: jax.Array) -> jax.Array:
    features_BxHxTxR = jnp.broadcast_to(features_TxR, (*k_BxHxTxK.shape[:2], *features_TxR.shape))
    return jnp.concatenate([k_BxHxTxK, features_BxHxTxR], axis=-1)


def _product(subscripts: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """An einsum that accumulates in float32, or in float64 for float64."""
    wide = jnp.promote_types(a.dtype, jnp.float32)
    return jnp.einsum(subscripts, a, b, precision=precision_of(a.dtype), preferred_element_type=wide)
