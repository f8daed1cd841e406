"""Sums over pixels in parts, and what they are the gradient of, held to Flax's layers and to float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aloe.perception.monet.component import Convolution
from aloe.perception.monet.pixels import add_to_pixels, pixel_sum
from tests.perception.monet.cases import drawn, results

SHAPE = (3, 8, 16, 5)  # no two alike, so that no dimension can stand in for another


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("size", [(8, 16), (16, 16), (64, 64), (66, 66), (67, 67), (3, 300)])
def test_a_sum_is_in_float32(size, dtype):
    x = drawn((2, *size, 3), dtype=dtype)
    assert pixel_sum(x).dtype == jnp.float32
    np.testing.assert_allclose(pixel_sum(x), np.asarray(x, np.float64).sum((1, 2)), rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("rows", [3, 1])
def test_what_is_added_to_pixels_has_their_sum_as_gradient(rows, dtype):
    y, value = drawn(SHAPE, dtype=dtype), drawn((rows, SHAPE[-1]), 1)
    weight = drawn(SHAPE, 2, dtype)
    np.testing.assert_array_equal(add_to_pixels(y, value), y + value.astype(dtype)[:, None, None])
    of_y, of_value = jax.grad(lambda y, value: jnp.sum((add_to_pixels(y, value) * weight).astype(jnp.float32)), (0, 1))(
        y, value
    )
    np.testing.assert_array_equal(of_y, weight)
    exact = np.asarray(weight, np.float64).sum((1, 2) if rows == 3 else (0, 1, 2)).reshape(rows, -1)
    assert of_value.dtype == jnp.float32
    np.testing.assert_allclose(of_value, exact, rtol=1e-5)


def convolutions(stride, padding):
    def layers(dtype):
        flax = nnx.Conv(5, 7, (3, 3), stride, padding=padding, dtype=dtype, rngs=nnx.Rngs(0))
        return flax, Convolution(5, 7, stride=stride, padding=padding, dtype=dtype, rngs=nnx.Rngs(0))

    return layers


LAYERS = [convolutions(2, "SAME"), convolutions(1, "VALID")]


@pytest.mark.parametrize("layers", LAYERS)
def test_a_convolution_is_flaxs(layers):
    for expected, got in zip(*map(of_layer, layers(jnp.float32)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("layers", LAYERS)
def test_bfloat16_rounds_no_more_than_in_flaxs(layers):
    exact = of_layer(layers(jnp.float32)[0])
    for true, theirs, got in zip(exact, *map(of_layer, layers(jnp.bfloat16)), strict=True):
        assert np.abs(got - true).max() <= 1.1 * np.abs(theirs - true).max()


def of_layer(layer):
    return results(layer, SHAPE, layer.dtype)
