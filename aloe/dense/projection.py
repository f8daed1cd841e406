"""Products of rows with weights, with gradients that XLA's GPU backend computes on the whole GPU."""

import math

import jax
import jax.numpy as jnp

from aloe.attention.precision import precision_of

LANES = 64  # widths are multiples of it, so that rows are 16-byte aligned and the kernels' tiles fit
_SMALL = 256 * 256  # gradients of fewer weights have few tiles, each of which would loop over all rows by itself
_SPLITS = 64


def padded(width: int) -> int:
    """W, the lanes of a row of `width` numbers and a 1."""
    return -(-(width + 1) // LANES) * LANES


@jax.custom_vjp
def project(x_BxTxW: jax.Array, weights_WxN: jax.Array) -> jax.Array:
    """x · weights, [B, T, N] in the type of x; the weights and their gradient are float32."""
    return _product(x_BxTxW, weights_WxN.astype(x_BxTxW.dtype))


def _product(x_BxTxW: jax.Array, weights_WxN: jax.Array) -> jax.Array:
    return jnp.einsum("btw,wn->btn", x_BxTxW, weights_WxN, precision=precision_of(x_BxTxW.dtype))


def _project_backward(saved: tuple[jax.Array, jax.Array], slope_BxTxN: jax.Array) -> tuple[jax.Array, jax.Array]:
    x_BxTxW, weights_WxN = saved
    return (
        _product(slope_BxTxN, weights_WxN.astype(slope_BxTxN.dtype).T),
        weight_gradient(x_BxTxW, slope_BxTxN),
    )


project.defvjp(lambda x, weights: (project(x, weights), (x, weights)), _project_backward)


@jax.custom_vjp
def project_apart(x_BxTxW: jax.Array, weights_WxSxHxP: jax.Array) -> tuple[jax.Array, jax.Array]:
    """x · weights, with the first of S parts in an array of its own: [B, T, H, P] and [B, T, S − 1, H, P].

    Their gradients are concatenated for one product each with the weights and with x. Where they are slices of one
    array, as those of `aloe.attention.attend` are, the compiler uses that array, and nothing is copied.
    """

    def product(x: jax.Array, weights: jax.Array) -> jax.Array:
        return project(x, weights.reshape(len(weights), -1)).reshape(*x.shape[:2], *weights.shape[1:])

    # XLA merges two small products with a common factor into one, and copies both parts out of it.
    other_BxTxW = jax.lax.optimization_barrier(x_BxTxW)
    return product(x_BxTxW, weights_WxSxHxP[:, 0]), product(other_BxTxW, weights_WxSxHxP[:, 1:])


def _project_apart_backward(
    saved: tuple[jax.Array, jax.Array], slopes: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    x_BxTxW, weights_WxSxHxP = saved
    slope_BxTxSxHxP = jnp.concatenate([slopes[0][:, :, None], slopes[1]], axis=2)
    flat = weights_WxSxHxP.reshape(len(weights_WxSxHxP), -1)
    dx, dweights = _project_backward((x_BxTxW, flat), slope_BxTxSxHxP.reshape(*x_BxTxW.shape[:2], -1))
    return dx, dweights.reshape(weights_WxSxHxP.shape)


project_apart.defvjp(lambda x, weights: (project_apart(x, weights), (x, weights)), _project_apart_backward)


def weight_gradient(x_BxTxW: jax.Array, slope_BxTxN: jax.Array) -> jax.Array:
    """Σ x ⊗ slope over all rows, [W, N] float32; for small ones, over groups of examples in parallel first."""
    batch, _, width = x_BxTxW.shape
    outputs = slope_BxTxN.shape[-1]
    groups = math.gcd(batch, _SPLITS) if width * outputs <= _SMALL else 1
    sums_GxWxN = jnp.einsum(
        "grw,grn->gwn",
        x_BxTxW.reshape(groups, -1, width),
        slope_BxTxN.reshape(groups, -1, outputs),
        preferred_element_type=jnp.float32,
        precision=precision_of(x_BxTxW.dtype),
    )
    return jnp.sum(sums_GxWxN, axis=0)
