"""Sums over pixels in two, and the layers made of them, held to Flax's own and to float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aloe.perception.monet.attention import InstanceNorm
from aloe.perception.monet.component import Convolution
from aloe.perception.monet.pixels import pixel_sum, to_pixels

SHAPE = (3, 8, 16, 5)  # no two alike, so that no dimension can stand in for another


def drawn(shape=SHAPE, seed=0, dtype=jnp.float32):
    return (1 + 2 * jax.random.normal(jax.random.key(seed), shape)).astype(dtype)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_sum_is_in_float32(dtype):
    x = drawn(dtype=dtype)
    assert pixel_sum(x).dtype == jnp.float32
    np.testing.assert_allclose(pixel_sum(x), np.asarray(x, np.float64).sum((1, 2)), rtol=1e-6)


@pytest.mark.parametrize("rows", [3, 1])
def test_each_is_the_gradient_of_the_other(rows):
    """⟨sum(x), v⟩ = ⟨x, spread(v)⟩, and so for their gradients."""
    x, value = drawn(), drawn((rows, SHAPE[-1]), 1)
    spread = to_pixels(value, SHAPE)
    np.testing.assert_array_equal(spread, np.broadcast_to(value[:, None, None], SHAPE))
    of_value = jax.grad(lambda value: jnp.sum(to_pixels(value, SHAPE) * x))(value)
    np.testing.assert_allclose(
        of_value, np.asarray(x, np.float64).sum((1, 2) if rows == 3 else (0, 1, 2)).reshape(rows, -1), rtol=1e-5
    )
    of_x = jax.grad(lambda x: jnp.sum(pixel_sum(x) * value))(x)
    np.testing.assert_allclose(of_x, spread, rtol=1e-6)


def norms(dtype):
    return nnx.InstanceNorm(5, use_scale=False, dtype=dtype, rngs=nnx.Rngs(0)), InstanceNorm(5, dtype)


def convolutions(stride, padding):
    def layers(dtype):
        flax = nnx.Conv(5, 7, (3, 3), stride, padding=padding, dtype=dtype, rngs=nnx.Rngs(0))
        return flax, Convolution(5, 7, stride=stride, padding=padding, dtype=dtype, rngs=nnx.Rngs(0))

    return layers


LAYERS = [norms, convolutions(2, "SAME"), convolutions(1, "VALID")]


@pytest.mark.parametrize("layers", LAYERS)
def test_a_layer_is_flaxs(layers):
    for expected, got in zip(*map(results, layers(jnp.float32)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("layers", LAYERS)
def test_bfloat16_rounds_no_more_than_in_flaxs(layers):
    exact = results(layers(jnp.float32)[0])
    for true, theirs, got in zip(exact, *map(results, layers(jnp.bfloat16)), strict=True):
        assert np.abs(got - true).max() <= 1.1 * np.abs(theirs - true).max()


def results(layer):
    """What a layer gives, and the gradients of its input and parameters, at the same numbers for each type."""
    graphdef, params = nnx.split(layer, nnx.Param)
    params = jax.tree.map(lambda leaf: leaf + drawn(leaf.shape, 2, jnp.bfloat16).astype(jnp.float32), params)
    x = drawn(dtype=jnp.bfloat16).astype(layer.dtype)
    y = nnx.merge(graphdef, params)(x)
    assert y.dtype == layer.dtype
    weight = drawn(y.shape, 3, jnp.bfloat16)
    gradients = jax.grad(lambda x, params: jnp.sum(nnx.merge(graphdef, params)(x).astype(jnp.float32) * weight), (0, 1))
    return [np.asarray(each, np.float64) for each in (y, *jax.tree.leaves(gradients(x, params)))]
