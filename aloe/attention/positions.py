"""Position logits as dot products of small width: the algebra that all paths share.

A relative key r(i − j) is a sum of sinusoids of i − j, with E/2 frequencies between 1 and 1/10000, and by the addition
theorem it is bilinear in the sinusoids of i and those of j. Over T tokens these span far fewer dimensions than T or E
(R = 56 for T = 233 at E = 180, 31 for T = 57 and 104 for T = 641 at E = 304): with an orthogonal basis of that space,
the *features* [T, R],

    r(i − j) = Σ_m key[i, m] · feature[j, m],     q_i · r(i − j) = Σ_m (q_i · key[i, m]) · feature[j, m]

exact to 1e-9, without any shift or gather of [T, T] logits. The basis consists of the singular vectors. Any other
basis (for instance values at R tokens, from which those at all others are interpolated) is as exact in float32; but low
frequencies give logits a part that hardly depends on j, which softmax ignores, and in this basis nearly all of it is
one coefficient of one nearly constant feature. Rounded to bfloat16, its error then cancels too, whereas with
interpolation it would differ from token to token: measured errors of the attention weights are half (T = 641) to 0.6
(T = 233) as large.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from aloe.attention.definition import frequencies, sinusoids
from aloe.attention.precision import precision_of

_TOLERANCE = 1e-9  # relative, of the features: far below float32 rounding


@functools.lru_cache(maxsize=16)
def features(tokens: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Features [T, R], of mean square 1, and coefficients [R, E] that express the tokens' sinusoids in them (float64).

    Token positions are counted from the middle: features · coefficients = sinusoids(j − (T − 1) / 2).
    """
    waves_TxE = sinusoids(np.arange(tokens) - (tokens - 1) / 2, width)
    left_TxS, values_S, right_SxE = np.linalg.svd(waves_TxE, full_matrices=False)
    rank = int(np.sum(values_S > _TOLERANCE * values_S[0]))
    scale = np.sqrt(tokens)
    return left_TxS[:, :rank] * scale, values_S[:rank, None] * right_SxE[:rank] / scale


def position_keys(
    relative_ExHxK: jax.Array, tokens: int, offset: int = 0, *, precision: jax.lax.Precision | None = None
) -> jax.Array:
    """Keys [T, R, H, K] of tokens i, whose sums weighted by the features of j are r(i − j + offset).

    Two matrix products, in the type of the relative weights: from the weights to pairs of features of i and of j, then
    from the features of i to its token.
    """
    dtype = relative_ExHxK.dtype
    features_TxR, coefficients_RxE = features(tokens, len(relative_ExHxK))
    phases_M = offset * frequencies(len(relative_ExHxK))
    sines_RxM, cosines_RxM = np.split(coefficients_RxE, 2, axis=-1)
    i_sines_RxM = jnp.asarray(sines_RxM * np.cos(phases_M) + cosines_RxM * np.sin(phases_M), dtype)[:, None]
    i_cosines_RxM = jnp.asarray(cosines_RxM * np.cos(phases_M) - sines_RxM * np.sin(phases_M), dtype)[:, None]
    j_sines_RxM, j_cosines_RxM = jnp.asarray(sines_RxM, dtype), jnp.asarray(cosines_RxM, dtype)
    sines_RxRxM = i_sines_RxM * j_cosines_RxM - i_cosines_RxM * j_sines_RxM  # of i − j + offset
    cosines_RxRxM = i_cosines_RxM * j_cosines_RxM + i_sines_RxM * j_sines_RxM
    pairs_RxRxE = jnp.concatenate([sines_RxRxM, cosines_RxRxM], axis=-1)
    pair_keys = jnp.einsum("are,ehk->arhk", pairs_RxRxE, relative_ExHxK, precision=precision)
    return jnp.einsum("ta,arhk->trhk", jnp.asarray(features_TxR, dtype), pair_keys, precision=precision)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def coefficients(q_BxHxTxK: jax.Array, relative_ExHxK: jax.Array, offset: int = 0) -> jax.Array:
    """Coefficients [B, H, T, R], whose products with the features of tokens j are q_i · r(i − j + offset).

    The method depends on the device that the program is compiled for: on TPUs, many small products with each token's
    own keys, and the data movement they require, take longer than rotating all sinusoids.
    """
    return jax.lax.platform_dependent(
        q_BxHxTxK,
        relative_ExHxK,
        tpu=functools.partial(coefficients_by_turning, offset=offset),
        default=functools.partial(coefficients_by_keys, offset=offset),
    )


def _coefficients_backward(offset: int, saved: tuple[jax.Array, jax.Array], slope_BxHxTxR: jax.Array) -> tuple:
    # Each method by itself: if they were differentiated together, each would carry the other's residuals.
    def pulled(way: Callable[..., jax.Array]) -> Callable[..., tuple]:
        return lambda *arguments: jax.vjp(functools.partial(way, offset=offset), *arguments[:-1])[1](arguments[-1])

    return jax.lax.platform_dependent(
        *saved, slope_BxHxTxR, tpu=pulled(coefficients_by_turning), default=pulled(coefficients_by_keys)
    )


coefficients.defvjp(
    lambda q, relative, offset: (coefficients(q, relative, offset), (q, relative)), _coefficients_backward
)


def coefficients_by_keys(q_BxHxTxK: jax.Array, relative_ExHxK: jax.Array, offset: int) -> jax.Array:
    """Same as `coefficients`, from the position keys of every token."""
    exact = precision_of(q_BxHxTxK.dtype)
    keys_TxRxHxK = position_keys(relative_ExHxK, q_BxHxTxK.shape[2], offset, precision=exact)
    return jnp.einsum("bhtk,trhk->bhtr", q_BxHxTxK, keys_TxRxHxK.astype(q_BxHxTxK.dtype), precision=exact)


def coefficients_by_turning(q_BxHxTxK: jax.Array, relative_ExHxK: jax.Array, offset: int) -> jax.Array:
    """Same as `coefficients`, by the addition theorem: with a query's weights s, c of sine and cosine of frequency w,

        s·sin w(i − j) + c·cos w(i − j) = (s·sin wi + c·cos wi)·cos wj + (c·sin wi − s·cos wi)·sin wj,

    and sinusoids of j are linear combinations of its features. Positions are counted from the middle, as theirs are.
    """
    dtype, tokens, width = q_BxHxTxK.dtype, q_BxHxTxK.shape[2], len(relative_ExHxK)
    product = functools.partial(jnp.einsum, precision=precision_of(dtype))
    weights = (
        product("bhik,mhk->bhim", q_BxHxTxK, half_MxHxK.astype(dtype)) for half_MxHxK in jnp.split(relative_ExHxK, 2)
    )
    sine_BxHxTxM, cosine_BxHxTxM = weights
    angles_TxM = (np.arange(tokens) - (tokens - 1) / 2 + offset)[:, None] * frequencies(width)
    sin_TxM, cos_TxM = (jnp.asarray(wave(angles_TxM), dtype) for wave in (np.sin, np.cos))
    of_sines_RxM, of_cosines_RxM = (
        jnp.asarray(half_RxM, dtype) for half_RxM in np.split(features(tokens, width)[1], 2, axis=-1)
    )
    turned_by_sines = product("bhim,rm->bhir", cosine_BxHxTxM * sin_TxM - sine_BxHxTxM * cos_TxM, of_sines_RxM)
    return turned_by_sines + product("bhim,rm->bhir", sine_BxHxTxM * sin_TxM + cosine_BxHxTxM * cos_TxM, of_cosines_RxM)
