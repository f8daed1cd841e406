"""Instance normalisation with its ReLU, forward and backward, against Flax's layers and against float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aloe.perception.monet.instance_norm import EPSILON, NormalizedReLU, normalized_relu, pixel_sum

SHAPES = [(3, 8, 16, 5), (2, 32, 32, 3)]  # summed in one part, and in several


def drawn(shape, seed=0, dtype=jnp.float32):
    """Normal numbers with mean 1 and standard deviation 2."""
    return (1 + 2 * jax.random.normal(jax.random.key(seed), shape)).astype(dtype)


def output_and_gradients(layer, shape, dtype):
    """A layer's output and the gradients of its input and parameters, at the same values for every dtype."""
    graphdef, params = nnx.split(layer, nnx.Param)
    params = jax.tree.map(lambda leaf: leaf + drawn(leaf.shape, 2, jnp.bfloat16).astype(jnp.float32), params)
    x = drawn(shape, dtype=jnp.bfloat16).astype(dtype)
    y = nnx.merge(graphdef, params)(x)
    assert y.dtype == dtype
    weight = drawn(y.shape, 3, jnp.bfloat16)
    gradients = jax.grad(lambda x, params: jnp.sum(nnx.merge(graphdef, params)(x).astype(jnp.float32) * weight), (0, 1))
    return [np.asarray(each, np.float64) for each in (y, *jax.tree.leaves(gradients(x, params)))]


class Flaxs(nnx.Module):
    def __init__(self, channels, dtype):
        self.norm = nnx.InstanceNorm(channels, epsilon=EPSILON, use_scale=False, dtype=dtype, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return nnx.relu(self.norm(x))


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_flaxs(shape):
    layers = Flaxs(shape[-1], jnp.float32), NormalizedReLU(shape[-1])
    for expected, got in zip(*(output_and_gradients(layer, shape, jnp.float32) for layer in layers), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("shape", SHAPES)
def test_bfloat16_rounds_no_more_than_in_flaxs(shape):
    exact = output_and_gradients(Flaxs(shape[-1], jnp.float32), shape, jnp.float32)
    theirs = output_and_gradients(Flaxs(shape[-1], jnp.bfloat16), shape, jnp.bfloat16)
    ours = output_and_gradients(NormalizedReLU(shape[-1]), shape, jnp.bfloat16)
    for true, flaxs, got in zip(exact, theirs, ours, strict=True):
        assert np.abs(got - true).max() <= 1.1 * np.abs(flaxs - true).max()


def test_by_the_formula_in_float64():
    x, bias = drawn((2, 8, 8, 3)), drawn((3,), 1)
    exact = np.asarray(x, np.float64)
    mean, variance = exact.mean((1, 2), keepdims=True), exact.var((1, 2), keepdims=True)
    expected = np.maximum(0, (exact - mean) / np.sqrt(variance + EPSILON) + np.asarray(bias, np.float64))
    assert (expected == 0).any()
    assert (expected > 0).any()
    np.testing.assert_allclose(normalized_relu(x, bias), expected, rtol=1e-5, atol=1e-5)


def test_a_channel_of_one_value_is_its_bias():
    x = jnp.full((1, 8, 8, 2), 0.3)
    np.testing.assert_allclose(
        normalized_relu(x, jnp.array([0.5, -0.5])), np.broadcast_to([0.5, 0.0], x.shape), atol=1e-3
    )


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("size", [(8, 16), (16, 16), (64, 64), (66, 66), (67, 67), (3, 300)])
def test_a_sum_is_in_float32(size, dtype):
    x = drawn((2, *size, 3), dtype=dtype)
    assert pixel_sum(x).dtype == jnp.float32
    np.testing.assert_allclose(pixel_sum(x), np.asarray(x, np.float64).sum((1, 2)), rtol=1e-6)


def test_sums_stay_in_parts_in_the_program():
    """XLA would otherwise merge both sums into one, and a bias's into one over all pixels of all pictures."""
    x, bias = drawn((2, 32, 32, 3)), drawn((3,), 1)
    gradients = jax.jit(jax.grad(lambda x, bias: jnp.sum(normalized_relu(x, bias)), (0, 1)))
    assert gradients.lower(x, bias).as_text().count("optimization_barrier") == 5
