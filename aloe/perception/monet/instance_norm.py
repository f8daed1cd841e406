"""Instance normalisation and the ReLU that follows it, with sums and a gradient that keep a GPU busy.

XLA sums an image with few channels in a single thread block of a GPU, however large the image is, so that 64 images
leave most of the GPU idle; here a sum is split into parts. Automatic differentiation would make three sums, one after
the other; two suffice, in one pass.
"""

import jax
import jax.numpy as jnp
from flax import nnx

EPSILON = 1e-6  # added to variances
PART = 256  # maximum number of pixels that a thread block sums, unless a row is longer


class NormalizedReLU(nnx.Module):
    """Normalizes every channel of an image to mean 0 and variance 1, then adds a bias, then a ReLU; without scale."""

    def __init__(self, channels: int) -> None:
        self.bias = nnx.Param(jnp.zeros(channels))

    def __call__(self, x_BxYxXxC: jax.Array) -> jax.Array:
        return normalized_relu(x_BxYxXxC, self.bias[...])


@jax.custom_vjp
def normalized_relu(x_BxYxXxC: jax.Array, bias_C: jax.Array) -> jax.Array:
    """max(0, (x − mean) / √(variance + ε) + bias), computed in float32 and returned in the dtype of x.

    Inside a shard_map the bias must vary over the mesh as x does, as parameters do in `aloe.training.step`. Channels
    whose mean far exceeds their standard deviation lose precision, because the variance is mean(x²) − mean(x)², as in
    Flax's layer.
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
    """With n the normalized x and g the cotangent where the ReLU passes it, for each channel of each image:

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
    """Sum over pixels, sum_BxC, in float32: first over parts, each some rows of an image, then over the parts' sums."""
    batch, rows, columns, channels = x_BxYxXxC.shape
    together = next(number for number in range(max(1, PART // columns), 0, -1) if rows % number == 0)
    parts = x_BxYxXxC.reshape(batch, rows // together, together, columns, channels)
    return jnp.sum(_apart(jnp.sum(parts, axis=(2, 3), dtype=jnp.float32)), axis=1)


def _apart(sums: jax.Array) -> jax.Array:
    """The identity; without it XLA merges the sum before it and the sum after it into one."""
    return jax.lax.optimization_barrier(sums)
