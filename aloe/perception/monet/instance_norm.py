"""Instance normalisation and the ReLU that follows it, with sums and a gradient that keep a GPU busy.

XLA sums a picture of few channels by a single block of a GPU's threads, however large it is, so that 64 pictures leave
most of the GPU idle; here a sum is made of parts. Differentiation would make three sums, one after the other; two do,
in one pass.
"""

import jax
import jax.numpy as jnp
from flax import nnx

EPSILON = 1e-6  # beside variances
PART = 256  # pixels that a block of threads adds up at most, where rows are no longer


class NormalizedReLU(nnx.Module):
    """Every channel of a picture by itself gets mean 0 and variance 1, then a bias and a ReLU; there is no scale."""

    def __init__(self, channels: int) -> None:
        self.bias = nnx.Param(jnp.zeros(channels))

    def __call__(self, x_BxYxXxC: jax.Array) -> jax.Array:
        return normalized_relu(x_BxYxXxC, self.bias[...])


@jax.custom_vjp
def normalized_relu(x_BxYxXxC: jax.Array, bias_C: jax.Array) -> jax.Array:
    """max(0, (x − mean) / √(variance + ε) + bias), in float32, and of the type of x in the end.

    Inside a shard_map the bias must vary as x does, as parameters do in `aloe.training.step`. Channels whose mean is
    far beyond their deviation lose precision, for the variance is mean(x²) − mean(x)², as in Flax's layer.
    """
    return _forward(x_BxYxXxC, bias_C)[0]


def _forward(x_BxYxXxC: jax.Array, bias_C: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    x, pixels = x_BxYxXxC.astype(jnp.float32), x_BxYxXxC.shape[1] * x_BxYxXxC.shape[2]
    mean_BxC = pixel_sum(x) / pixels
    variance_BxC = jnp.maximum(0, pixel_sum(x**2) / pixels - mean_BxC**2)
    factor_BxC = jax.lax.rsqrt(variance_BxC + EPSILON)
    y = nnx.relu(_normalized(x_BxYxXxC, mean_BxC, factor_BxC) + bias_C)
    return y.astype(x_BxYxXxC.dtype), (x_BxYxXxC, mean_BxC, factor_BxC, bias_C)


def _backward(saved: tuple[jax.Array, ...], slope_BxYxXxC: jax.Array) -> tuple[jax.Array, jax.Array]:
    """With n the normalized x and g the slope where the ReLU lets it through, of each channel of each picture:

    dx = (g − mean(g) − n · mean(g · n)) / √(variance + ε),   dbias = Σ g
    """
    x_BxYxXxC, mean_BxC, factor_BxC, bias_C = saved
    normalized = _normalized(x_BxYxXxC, mean_BxC, factor_BxC)
    slope = jnp.where(normalized + bias_C > 0, slope_BxYxXxC.astype(jnp.float32), 0)
    sum_BxC, along_BxC = pixel_sum(slope), pixel_sum(slope * normalized)
    pixels = x_BxYxXxC.shape[1] * x_BxYxXxC.shape[2]
    centred = slope - (sum_BxC / pixels)[:, None, None] - normalized * (along_BxC / pixels)[:, None, None]
    return (centred * factor_BxC[:, None, None]).astype(x_BxYxXxC.dtype), jnp.sum(_apart(sum_BxC), axis=0)


normalized_relu.defvjp(_forward, _backward)


def _normalized(x_BxYxXxC: jax.Array, mean_BxC: jax.Array, factor_BxC: jax.Array) -> jax.Array:
    return (x_BxYxXxC.astype(jnp.float32) - mean_BxC[:, None, None]) * factor_BxC[:, None, None]


def pixel_sum(x_BxYxXxC: jax.Array) -> jax.Array:
    """Σ over pixels, sum_BxC, in float32: of parts, which are some rows of a picture each, then of those."""
    batch, rows, columns, channels = x_BxYxXxC.shape
    together = next(number for number in range(max(1, PART // columns), 0, -1) if rows % number == 0)
    parts = x_BxYxXxC.reshape(batch, rows // together, together, columns, channels)
    return jnp.sum(_apart(jnp.sum(parts, axis=(2, 3), dtype=jnp.float32)), axis=1)


def _apart(sums: jax.Array) -> jax.Array:
    """The same; without it XLA makes one sum of the one before and the one after."""
    return jax.lax.optimization_barrier(sums)
