"""The self-supervised objective against direct loops over its definition."""

import jax
import numpy as np
import pytest

from aloe import objectives


@pytest.mark.parametrize("frames", [1, 7])
def test_one_object_per_frame_hides_exactly_the_target(frames):
    visible, target = objectives.one_object_per_frame(jax.random.key(frames), frames, 8)
    assert visible.shape == target.shape == (frames, 8)
    np.testing.assert_array_equal(np.sum(target, axis=1), 1)
    np.testing.assert_array_equal(visible, ~np.asarray(target))


def test_one_object_per_frame_draws_every_slot_about_equally():
    keys = jax.random.split(jax.random.key(0), 500)
    _, targets = jax.vmap(lambda key: objectives.one_object_per_frame(key, 10, 8))(keys)
    share = np.asarray(targets).mean(axis=(0, 1))
    np.testing.assert_allclose(share, 1 / 8, atol=4 * np.sqrt(1 / 8 * 7 / 8 / 5000))


def test_auxiliary_loss_sums_squared_distances_over_a_videos_targets():
    rng = np.random.default_rng(0)
    predicted, latents = rng.normal(size=(2, 3, 4, 5, 6))
    target = rng.random((3, 4, 5)) < 0.4
    expected = np.zeros(3)
    for b, f, n in np.ndindex(3, 4, 5):
        if target[b, f, n]:
            expected[b] += sum((predicted[b, f, n, d] - latents[b, f, n, d]) ** 2 for d in range(6))
    loss = objectives.auxiliary_loss(predicted, latents, target)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_a_latent_that_is_no_target_does_not_move_the_loss():
    latents = np.ones((1, 2, 3, 4), np.float32)
    target = np.zeros((1, 2, 3), bool)
    target[0, 1, 2] = True
    gradient = jax.grad(lambda p: objectives.auxiliary_loss(p, latents, target).sum())(0 * latents)
    assert np.all(np.any(np.asarray(gradient) != 0, axis=-1) == target)
