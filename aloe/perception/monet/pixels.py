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


def to_pixels(value_BxC: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The same at every pixel of pictures of a shape [B, Y, X, C], in float32; a single row is for every picture."""
    batch, rows, columns, channels = shape
    return _spread(jnp.broadcast_to(value_BxC.astype(jnp.float32), (batch, channels)), rows, columns)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _spread(value_BxC: jax.Array, rows: int, columns: int) -> jax.Array:
    return jnp.broadcast_to(value_BxC[:, None, None], (len(value_BxC), rows, columns, value_BxC.shape[1]))


def _sum_forward(x_BxYxXxC: jax.Array) -> tuple[jax.Array, jax.Array]:
    # An empty array carries shape and type, for residuals are arrays.
    return pixel_sum(x_BxYxXxC), jnp.zeros((*x_BxYxXxC.shape, 0), x_BxYxXxC.dtype)


def _sum_backward(like: jax.Array, gradient_BxC: jax.Array) -> tuple[jax.Array]:
    return (_spread(gradient_BxC, *like.shape[1:3]).astype(like.dtype),)


pixel_sum.defvjp(_sum_forward, _sum_backward)
_spread.defvjp(
    lambda value_BxC, rows, columns: (_spread(value_BxC, rows, columns), None),
    lambda rows, columns, _, gradient_BxYxXxC: (pixel_sum(gradient_BxYxXxC),),
)
