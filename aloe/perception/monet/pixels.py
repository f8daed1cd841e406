"""Sums over the pixels of a picture, and their transpose: of each, the gradient is the other.

A sum over rows leaves an array whose innermost dimension is that of columns and channels together; the sum over columns
is then small. In one sum the innermost dimension would be the channels alone, fewer than a GPU's processors read at a
time.
"""

import functools

import jax
import jax.numpy as jnp


@jax.custom_vjp
def pixel_sum(x_BxYxXxC: jax.Array) -> jax.Array:
    """Σ over pixels, sum_BxC, in float32."""
    sum_BxXxC = jnp.sum(x_BxYxXxC, axis=1, dtype=jnp.float32)
    return jnp.sum(jax.lax.optimization_barrier(sum_BxXxC), axis=1)  # without it XLA makes one sum of the two


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def to_pixels(value_BxC: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The same at every pixel of pictures of a shape [B, Y, X, C]; a single row is for every picture."""
    return jnp.broadcast_to(value_BxC[:, None, None], shape)


def _sum_forward(x_BxYxXxC: jax.Array) -> tuple[jax.Array, jax.Array]:
    # An empty array carries shape and type, for residuals are arrays.
    return pixel_sum(x_BxYxXxC), jnp.zeros((*x_BxYxXxC.shape, 0), x_BxYxXxC.dtype)


def _sum_backward(like: jax.Array, gradient_BxC: jax.Array) -> tuple[jax.Array]:
    return (to_pixels(gradient_BxC, like.shape[:-1]).astype(like.dtype),)


def _spread_forward(value_BxC: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    return to_pixels(value_BxC, shape), jnp.zeros((*value_BxC.shape, 0), value_BxC.dtype)


def _spread_backward(shape: tuple[int, ...], like: jax.Array, gradient_BxYxXxC: jax.Array) -> tuple[jax.Array]:
    sum_BxC = pixel_sum(gradient_BxYxXxC)
    if like.shape[0] != shape[0]:
        sum_BxC = jnp.sum(sum_BxC, axis=0, keepdims=True)
    return (sum_BxC.astype(like.dtype),)


pixel_sum.defvjp(_sum_forward, _sum_backward)
to_pixels.defvjp(_spread_forward, _spread_backward)
