"""Masks add up to 1, are those of the recurrence, and do not underflow; the U-Net sees what it should."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aloe.perception.monet.attention import UNet, log_masks
from aloe.perception.monet.config import MonetConfig
from tests.perception.monet.cases import SMALL, pictures


def fixed(logits):
    """A stand-in for the U-Net, with one logit per step, the same everywhere, and the list of scopes shown to it."""
    steps, scopes = iter(logits), []

    def network(image_BxYxXx3, log_scope_BxYxX):
        scopes.append(log_scope_BxYxX)
        return jnp.full_like(log_scope_BxYxX, next(steps))

    return network, scopes


def test_masks_are_those_of_the_recurrence():
    logits = [0.3, -1.2, 2.0]
    network, scopes = fixed(logits)
    got_N = np.exp(log_masks(network, pictures(1), 4))[0, :, 3, 5]
    scope, expected = 1.0, []
    for step, logit in enumerate(logits):
        np.testing.assert_allclose(np.exp(scopes[step]), scope, rtol=1e-6)
        share = 1 / (1 + np.exp(-logit))
        expected.append(scope * share)
        scope *= 1 - share
    np.testing.assert_allclose(got_N, [*expected, scope], rtol=1e-6)


@pytest.mark.parametrize("slots", [2, 8])
def test_masks_add_up_to_one(slots):
    log_mask = log_masks(UNet(SMALL, rngs=nnx.Rngs(0)), pictures(), slots)
    assert log_mask.shape == (2, slots, 16, 16)
    np.testing.assert_allclose(jax.nn.logsumexp(log_mask, axis=1), 0, atol=1e-5)


def test_scopes_of_many_slots_do_not_underflow():
    """In linear space (e^−30)^7 is 0 in float32, its logarithm is −∞, and the gradient NaN."""

    def last(logit):
        network, _ = fixed([logit] * 7)
        return jnp.sum(log_masks(network, pictures(1), 8)[0, -1, 0, 0])

    value, gradient = jax.value_and_grad(last)(30.0)
    assert value == pytest.approx(-210, rel=1e-5)
    assert gradient == pytest.approx(-7, rel=1e-5)


@pytest.mark.parametrize(("size", "channels"), [(16, [4, 4, 8]), (32, [4, 4, 8, 8])])
def test_blocks_halve_to_four_by_four_and_double_again(size, channels):
    config = MonetConfig(size=size, attention_width=4, attention_hidden=6, dtype="float32")
    network = UNet(config, rngs=nnx.Rngs(0))
    assert [block.convolution.kernel.shape[-1] for block in network.down] == channels
    assert [block.convolution.kernel.shape[-1] for block in network.up] == channels[::-1]
    assert [layer.kernel.shape[0] for layer in network.bottom] == [16 * channels[-1], 6, 6]
    assert network(pictures(2, size), jnp.zeros((2, size, size))).shape == (2, size, size)
    assert all(block.convolution.bias is None for block in [*network.down, *network.up])


def test_a_logit_sees_the_whole_picture_and_the_scope():
    network = UNet(SMALL, rngs=nnx.Rngs(1))

    def corner(image, scope):
        return network(image, scope)[0, 0, 0]

    of_image, of_scope = jax.jit(jax.grad(corner, argnums=(0, 1)))(pictures(1), -jnp.ones((1, 16, 16)))
    assert np.all(np.any(of_image[0, -2:, -2:] != 0, axis=-1))
    assert np.count_nonzero(of_scope[0, -2:, -2:])


def test_scopes_below_the_floor_are_shown_as_the_floor():
    """The masks are still those that the recurrence makes from the logits."""
    floored = UNet(dataclasses.replace(SMALL, log_floor=-6.0), rngs=nnx.Rngs(0))
    plain, image = UNet(SMALL, rngs=nnx.Rngs(0)), pictures(2)
    scope = jnp.where(jnp.arange(16) < 8, -1.0, -100.0) * jnp.ones((2, 16, 16))
    np.testing.assert_array_equal(floored(image, scope), plain(image, jnp.maximum(scope, -6.0)))
    assert np.abs(floored(image, scope) - plain(image, scope)).max() > 1e-3
    scope, expected = jnp.zeros((2, 16, 16)), []
    for _ in range(3):
        logit = floored(image, scope)
        expected.append(scope + jax.nn.log_sigmoid(logit))
        scope += jax.nn.log_sigmoid(-logit)
    np.testing.assert_allclose(log_masks(floored, image, 4), np.stack([*expected, scope], axis=1), rtol=1e-4, atol=1e-5)


def test_examples_do_not_see_each_other():
    """Instance normalisation, not batch normalisation."""
    network, image = UNet(SMALL, rngs=nnx.Rngs(0)), pictures(3)
    scope = jnp.zeros((3, 16, 16))
    together = network(image, scope)
    for row in range(3):
        alone = network(image[row : row + 1], scope[:1])
        np.testing.assert_allclose(together[row], alone[0], rtol=1e-4, atol=1e-5)


def test_a_block_takes_out_mean_and_contrast_of_each_channel():
    block = UNet(SMALL, rngs=nnx.Rngs(0)).down[0]
    block.norm.bias[...] += 10.0  # so that the ReLU lets everything through
    x = jax.random.normal(jax.random.key(0), (2, 16, 16, 4))
    y = block.norm(x)
    np.testing.assert_allclose(jnp.mean(y, axis=(1, 2)), 10, atol=1e-5)
    np.testing.assert_allclose(jnp.std(y, axis=(1, 2)), 1, atol=1e-3)
    np.testing.assert_allclose(block.norm(5 * x + 3), y, atol=1e-4)
    assert list(nnx.to_pure_dict(nnx.state(block.norm, nnx.Param))) == ["bias"]
