"""Sums over the pixels of a picture, and what has them as its gradient.

On a GPU XLA sums a picture of few channels by a single block of threads, however large it is, so that 64 pictures leave
most of the GPU idle. A sum is therefore made of parts, each of some rows of the picture.
"""

import jax
import jax.numpy as jnp

PART = 256  # pixels that a block of threads adds up at most, where rows are no longer


def pixel_sum(x_BxYxXxC: jax.Array) -> jax.Array:
    """Σ over pixels, sum_BxC, in float32."""
    batch, rows, columns, channels = x_BxYxXxC.shape
    together = next(number for number in range(max(1, PART // columns), 0, -1) if rows % number == 0)
    parts = x_BxYxXxC.reshape(batch, rows // together, together, columns, channels)
    return jnp.sum(_apart(jnp.sum(parts, axis=(2, 3), dtype=jnp.float32)), axis=1)


def batch_sum(sum_BxC: jax.Array) -> jax.Array:
    """Σ over pictures of what `pixel_sum` gave, sum_C."""
    return jnp.sum(_apart(sum_BxC), axis=0)


def _apart(sums: jax.Array) -> jax.Array:
    """The same; without it XLA makes one sum of the one before and the one after."""
    return jax.lax.optimization_barrier(sums)


@jax.custom_vjp
def add_to_pixels(y_BxYxXxC: jax.Array, value_BxC: jax.Array) -> jax.Array:
    """y + value at every pixel, in the type of y; a single row is for all pictures. `value` is float32."""
    return y_BxYxXxC + value_BxC[:, None, None].astype(y_BxYxXxC.dtype)


def _backward(rows: jax.Array, slope_BxYxXxC: jax.Array) -> tuple[jax.Array, jax.Array]:
    sum_BxC = pixel_sum(slope_BxYxXxC)
    return slope_BxYxXxC, sum_BxC if len(rows) == len(sum_BxC) else batch_sum(sum_BxC)[None]


# An empty array carries the number of rows, for residuals are arrays.
add_to_pixels.defvjp(lambda y, value: (add_to_pixels(y, value), value[:, :0]), _backward)
