import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aloe.dense.projection import LANES, padded, project, project_apart, weight_gradient


@pytest.mark.parametrize("width", [52, 63, 64, 180, 191, 192, 304])
def test_padded_has_room_for_a_one_and_no_more_than_that_takes(width):
    assert padded(width) % LANES == 0
    assert width < padded(width) <= width + LANES


@pytest.mark.parametrize(("batch", "inputs", "outputs"), [(6, 64, 40), (64, 192, 240), (3, 320, 300), (1, 8, 8)])
def test_product_and_gradients(batch, inputs, outputs):
    """Whether the weight gradient is summed in groups of examples (64 groups of one, 2 of three) or all at once."""
    rng = np.random.default_rng(0)
    x, slope = rng.standard_normal((batch, 5, inputs)), rng.standard_normal((batch, 5, outputs))
    weights = rng.standard_normal((inputs, outputs))
    out, pull = jax.vjp(jax.jit(project), jnp.float32(x), jnp.float32(weights))
    dx, dweights = pull(jnp.float32(slope))
    expected = np.einsum("btw,btn->wn", x, slope)
    for actual, wanted in ((out, x @ weights), (dx, slope @ weights.T), (dweights, expected)):
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=2e-6 * np.abs(wanted).max())


def test_weights_and_their_gradient_are_float32_whatever_the_rows_are():
    """Sums 4096 ones, each of which would be lost in a bfloat16 sum."""
    x, slope = jnp.ones((64, 64, 8), jnp.bfloat16), jnp.ones((64, 64, 4), jnp.bfloat16)
    out, pull = jax.vjp(project, x, jnp.full((8, 4), 1 / 8))
    dx, dweights = pull(slope.at[0, 0].set(2))
    assert out.dtype == dx.dtype == jnp.bfloat16
    assert dweights.dtype == jnp.float32
    np.testing.assert_array_equal(dweights, 4097)
    np.testing.assert_array_equal(weight_gradient(x, slope), 4096)


def test_products_apart_stay_two_in_the_program():
    lowered = jax.jit(project_apart).lower(jnp.zeros((6, 5, 64)), jnp.zeros((64, 3, 2, 24)))
    assert lowered.as_text().count("optimization_barrier") == 1


def test_products_apart_are_those_together():
    rng = np.random.default_rng(0)
    x, weights = jnp.float32(rng.standard_normal((6, 5, 64))), jnp.float32(rng.standard_normal((64, 3, 2, 24)))
    slope = jnp.float32(rng.standard_normal((6, 5, 3, 2, 24)))
    together, pull = jax.vjp(lambda x, weights: jnp.einsum("btw,wshp->btshp", x, weights), x, weights)
    (first, others), pull_apart = jax.vjp(project_apart, x, weights)
    for actual, wanted in (
        (first, together[:, :, 0]),
        (others, together[:, :, 1:]),
        *zip(pull_apart((slope[:, :, 0], slope[:, :, 1:])), pull(slope), strict=True),
    ):
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=2e-6 * np.abs(wanted).max())


def test_slopes_that_are_slices_of_one_array_are_not_copied():
    def gradients(x, weights, first, others):
        return jax.vjp(project_apart, x, weights)[1]((first, others))

    def gradients_of_slices(x, weights, whole):
        return gradients(x, weights, whole[:, :, 0], whole[:, :, 1:])

    def program(function, *shapes):
        arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((4, 7, 64), (64, 3, 2, 24), *shapes)]
        return jax.jit(function).lower(*arrays).compile().as_text()

    assert "concatenate(" in program(gradients, (4, 7, 2, 24), (4, 7, 2, 2, 24))
    of_slices = program(gradients_of_slices, (4, 7, 3, 2, 24))
    assert "concatenate(" not in of_slices
    assert "slice(" not in of_slices
