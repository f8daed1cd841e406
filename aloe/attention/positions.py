"""Positions as dot products of a small width: the algebra that all paths share.

A relative key r(i − j) is a sum of sinusoids in i − j, of E/2 frequencies between 1 and 1/10000, and by the addition
theorem a form that is linear both in the sinusoids of i and in those of j. Over T tokens these fill far fewer
dimensions than T or E (R = 56 for T = 233 at E = 180, 31 for T = 57 and 104 for T = 641 at E = 304): with an orthogonal
basis of them, the *features* [T, R],

    r(i − j) = Σ_m key[i, m] · feature[j, m],     q_i · r(i − j) = Σ_m (q_i · key[i, m]) · feature[j, m]

exactly up to 1e-9, with neither a shift nor a gather of [T, T] logits. The basis is that of the singular vectors. Any
other (values at R tokens, say, from which those at all others are interpolated) is as exact in float32; but low
frequencies give logits a part that hardly depends on j, which softmax does not see, and here nearly all of it is one
coefficient of one nearly constant feature. Rounded to bfloat16 its error then cancels too, where in an interpolation it
would differ from token to token: measured, errors of the attention weights are half (T = 641) to 0.6 (T = 233).
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from aloe.attention.definition import frequencies, sinusoids
from aloe.attention.precision import precision_of

_TOLERANCE = 1e-9  # of the features, relative: far below the rounding of float32


@functools.lru_cache(maxsize=16)
def features(tokens: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Features [T, R], of mean square 1, and coefficients [R, E] of the tokens' sinusoids in them (float64).

    The tokens' places are counted from their middle: features · coefficients = sinusoids(j − (T − 1) / 2).
    """
    waves_TxE = sinusoids(np.arange(tokens) - (tokens - 1) / 2, width)
    left_TxS, values_S, right_SxE = np.linalg.svd(waves_TxE, full_matrices=False)
    rank = int(np.sum(values_S > _TOLERANCE * values_S[0]))
    scale = np.sqrt(tokens)
    return left_TxS[:, :rank] * scale, values_S[:rank, None] * right_SxE[:rank] / scale


def position_keys(
    relative_ExHxK: jax.Array, tokens: int, offset: int = 0, *, precision: jax.lax.Precision | None = None
) -> jax.Array:
    """Keys [T, R, H, K] of tokens i whose sums over features of j are r(i − j + offset).

    Two matrix products, in the type of the relative weights: from these to the pairs of features of i and of j, and
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
    """[B, H, T, R]: their products with the features of tokens j are q_i · r(i − j + offset).

    In the way that suits the device that the program is compiled for: on TPUs the many small products with keys of each
    token by its own, and what has to be moved for them, take longer than to turn all sinusoids.
    """
    return jax.lax.platform_dependent(
        q_BxHxTxK,
        relative_ExHxK,
        tpu=functools.partial(coefficients_by_turning, offset=offset),
        default=functools.partial(coefficients_by_keys, offset=offset),
    )


def _coefficients_backward(offset: int, saved: tuple[jax.Array, jax.Array], slope_BxHxTxR: jax.Array) -> tuple:
    # Each way by itself: differentiated together, either would wait for what the other has kept.
    def pulled(way: Callable[..., jax.Array]) -> Callable[..., tuple]:
        return lambda *arguments: jax.vjp(functools.partial(way, offset=offset), *arguments[:-1])[1](arguments[-1])

    return jax.lax.platform_dependent(
        *saved, slope_BxHxTxR, tpu=pulled(coefficients_by_turning), default=pulled(coefficients_by_keys)
    )


coefficients.defvjp(
    lambda q, relative, offset: (coefficients(q, relative, offset), (q, relative)), _coefficients_backward
)


def coefficients_by_keys(q_BxHxTxK: jax.Array, relative_ExHxK: jax.Array, offset: int) -> jax.Array:
    """As `coefficients`, by the position keys of every token."""
    exact = precision_of(q_BxHxTxK.dtype)
    keys_TxRxHxK = position_keys(relative_ExHxK, q_BxHxTxK.shape[2], offset, precision=exact)
    return jnp.einsum("bhtk,trhk->bhtr", q_BxHxTxK, keys_TxRxHxK.astype(q_BxHxTxK.dtype), precision=exact)


def coefficients_by_turning(q_BxHxTxK: jax.Array, relative_ExHxK: jax.Array, offset: int) -> jax.Array:
    """As `coefficients`, by the addition theorem: with a query's weights s and c for sine and cosine of a frequency w,

        s·sin w(i − j) + c·cos w(i − j) = (s·sin wi + c·cos wi)·cos wj + (c·sin wi − s·cos wi)·sin wj,

    and sinusoids of j are sums of its features. Places are counted from the middle, as theirs are.
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
