"""Each part of the loss by hand, and by direct loops over arrays whose axes all differ in length."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from aloe.perception.monet import losses
from aloe.perception.monet.model import Slots
from tests.perception.monet.cases import random_slots

BACKGROUND, FOREGROUND = 0.5, 0.25


def one_pixel(masks, colors, decoded=None, mean=None, log_sigma=None):
    """One picture of one pixel, with a mask and a colour for each slot."""
    count = len(masks)
    zeros = np.zeros((1, count, 1), np.float32)
    return Slots(
        log_mask_BxNxYxX=jnp.log(jnp.asarray(masks, jnp.float32)).reshape(1, count, 1, 1),
        mean_BxNxD=jnp.asarray(zeros if mean is None else mean),
        log_sigma_BxNxD=jnp.asarray(zeros if log_sigma is None else log_sigma),
        image_BxNxYxXx3=jnp.asarray(colors, jnp.float32).reshape(1, count, 1, 1, 3),
        log_decoded_BxNxYxX=jnp.log(jnp.asarray(decoded or masks, jnp.float32)).reshape(1, count, 1, 1),
    )


def test_reconstruction_by_hand():
    """Slot 0 is off by 1 in one colour, slot 1 by ½ in two: squared distances 1 and ½."""
    slots = one_pixel([0.75, 0.25], [[0, 1, 1], [0.5, 0.5, 1]])
    image = jnp.ones((1, 1, 1, 3))
    first = 0.75 * math.exp(-0.5 * 1 / 0.25) / (0.5 * math.sqrt(2 * math.pi)) ** 3
    second = 0.25 * math.exp(-0.5 * 0.5 / 0.0625) / (0.25 * math.sqrt(2 * math.pi)) ** 3
    got = losses.reconstruction(image, slots, BACKGROUND, FOREGROUND)
    np.testing.assert_allclose(got, [-math.log(first + second)], rtol=1e-6)


def test_latent_divergence_by_hand():
    """μ = 2, σ = 1 costs 2; μ = 0, σ = e costs ½(e² − 1) − 1."""
    slots = one_pixel([0.5, 0.5], np.zeros((2, 3)), mean=[[[2.0], [0.0]]], log_sigma=[[[0.0], [1.0]]])
    np.testing.assert_allclose(losses.latent_divergence(slots), [2 + (math.e**2 - 1) / 2 - 1], rtol=1e-6)


def test_mask_divergence_by_hand():
    """From (½, ½) to (¼, ¾): ½ log 2 + ½ log ⅔; in this direction, not back."""
    slots = one_pixel([0.5, 0.5], np.zeros((2, 3)), decoded=[0.25, 0.75])
    np.testing.assert_allclose(losses.mask_divergence(slots), [0.5 * math.log(2) + 0.5 * math.log(2 / 3)], rtol=1e-6)


def test_all_parts_by_direct_loops():
    """If axes were swapped anywhere, the sums would differ or the shapes would not fit."""
    slots, (count_B, count_N, count_Y, count_X) = random_slots(), (2, 3, 4, 5)
    image = np.random.default_rng(1).uniform(size=(count_B, count_Y, count_X, 3))
    mask, decoded, means = (
        np.asarray(array, np.float64)
        for array in (slots.log_mask_BxNxYxX, slots.log_decoded_BxNxYxX, slots.image_BxNxYxXx3)
    )
    sigma = [BACKGROUND] + [FOREGROUND] * (count_N - 1)
    nll, kl = np.zeros(count_B), np.zeros(count_B)
    for b in range(count_B):
        for y in range(count_Y):
            for x in range(count_X):
                mixture = 0.0
                for n in range(count_N):
                    density = 1.0
                    for c in range(3):
                        off = (image[b, y, x, c] - means[b, n, y, x, c]) / sigma[n]
                        density *= math.exp(-0.5 * off**2) / (sigma[n] * math.sqrt(2 * math.pi))
                    mixture += math.exp(mask[b, n, y, x]) * density
                    kl[b] += math.exp(mask[b, n, y, x]) * (mask[b, n, y, x] - decoded[b, n, y, x])
                nll[b] -= math.log(mixture)
    got = losses.reconstruction(jnp.asarray(image, jnp.float32), slots, BACKGROUND, FOREGROUND)
    np.testing.assert_allclose(got, nll, rtol=1e-5)
    np.testing.assert_allclose(losses.mask_divergence(slots), kl, rtol=1e-5)

    mean, log_sigma = np.asarray(slots.mean_BxNxD, np.float64), np.asarray(slots.log_sigma_BxNxD, np.float64)
    divergence = (mean**2 + np.exp(log_sigma) ** 2 - 1) / 2 - log_sigma
    np.testing.assert_allclose(losses.latent_divergence(slots), divergence.sum((1, 2)), rtol=1e-5)


@pytest.mark.parametrize("part", [losses.latent_divergence, losses.mask_divergence])
def test_divergences_are_positive_and_zero_for_the_same(part):
    slots = random_slots()
    assert np.all(np.asarray(part(slots)) > 0)
    zeros = jnp.zeros_like(slots.mean_BxNxD)
    same = slots._replace(log_decoded_BxNxYxX=slots.log_mask_BxNxYxX, mean_BxNxD=zeros, log_sigma_BxNxD=zeros)
    np.testing.assert_allclose(part(same), 0, atol=1e-5)


def test_a_mask_that_is_all_but_zero_is_no_nan():
    slots = random_slots()
    sharp = slots._replace(log_mask_BxNxYxX=jnp.full_like(slots.log_mask_BxNxYxX, -300.0).at[:, 0].set(0.0))
    image = jnp.zeros((2, 4, 5, 3))
    assert np.all(np.isfinite(losses.reconstruction(image, sharp, BACKGROUND, FOREGROUND)))
    assert np.all(np.isfinite(losses.mask_divergence(sharp)))
