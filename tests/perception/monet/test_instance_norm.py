"""Instance normalisation with its ReLU, forward and gradient, held to Flax's layers and to float64."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aloe.perception.monet.instance_norm import EPSILON, NormalizedReLU, normalized_relu, pixel_sum
from tests.perception.monet.cases import drawn, results

SHAPES = [(3, 8, 16, 5), (2, 32, 32, 3)]  # summed up at once, and in parts


class Flaxs(nnx.Module):
    def __init__(self, channels, dtype):
        self.norm = nnx.InstanceNorm(channels, epsilon=EPSILON, use_scale=False, dtype=dtype, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return nnx.relu(self.norm(x))


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_flaxs(shape):
    layers = Flaxs(shape[-1], jnp.float32), NormalizedReLU(shape[-1])
    for expected, got in zip(*(results(layer, shape, jnp.float32) for layer in layers), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("shape", SHAPES)
def test_bfloat16_rounds_no_more_than_in_flaxs(shape):
    exact = results(Flaxs(shape[-1], jnp.float32), shape, jnp.float32)
    theirs = results(Flaxs(shape[-1], jnp.bfloat16), shape, jnp.bfloat16)
    ours = results(NormalizedReLU(shape[-1]), shape, jnp.bfloat16)
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
