import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aloe.dense.projection import LANES, padded, project, weight_gradient


@pytest.mark.parametrize("width", [52, 63, 64, 180, 191, 192, 304])
def test_padded_has_room_for_a_one_and_no_more_than_that_takes(width):
    assert padded(width) % LANES == 0
    assert width < padded(width) <= width + LANES


@pytest.mark.parametrize(("batch", "inputs", "outputs"), [(6, 64, 40), (64, 192, 240), (3, 320, 300), (1, 8, 8)])
def test_product_and_gradients(batch, inputs, outputs):
    """Whether the gradient of the weights is summed in groups of examples (64 of one, 2 of three) or at once."""
    rng = np.random.default_rng(0)
    x, slope = rng.standard_normal((batch, 5, inputs)), rng.standard_normal((batch, 5, outputs))
    weights = rng.standard_normal((inputs, outputs))
    out, pull = jax.vjp(jax.jit(project), jnp.float32(x), jnp.float32(weights))
    dx, dweights = pull(jnp.float32(slope))
    expected = np.einsum("btw,btn->wn", x, slope)
    for actual, wanted in ((out, x @ weights), (dx, slope @ weights.T), (dweights, expected)):
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=2e-6 * np.abs(wanted).max())


def test_weights_and_their_gradient_are_float32_whatever_the_rows_are():
    """A sum of 4096 ones, each of which bfloat16 would lose."""
    x, slope = jnp.ones((64, 64, 8), jnp.bfloat16), jnp.ones((64, 64, 4), jnp.bfloat16)
    out, pull = jax.vjp(project, x, jnp.full((8, 4), 1 / 8))
    dx, dweights = pull(slope.at[0, 0].set(2))
    assert out.dtype == dx.dtype == jnp.bfloat16
    assert dweights.dtype == jnp.float32
    np.testing.assert_array_equal(dweights, 4097)
    np.testing.assert_array_equal(weight_gradient(x, slope), 4096)
