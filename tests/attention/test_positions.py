"""The algebra of positions against sinusoids of distances, one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aloe.attention.definition import sinusoids
from aloe.attention.positions import features, position_keys


@pytest.mark.parametrize(
    ("tokens", "width", "most"),
    [(1, 8, 1), (2, 2, 2), (57, 304, 32), (233, 180, 57), (641, 304, 105), (4096, 304, 240)],
)
def test_few_features_give_every_sinusoid(tokens, width, most):
    features_TxR, coefficients_RxE = features(tokens, width)
    assert features_TxR.shape[1] <= most
    np.testing.assert_allclose(
        features_TxR.T @ features_TxR, tokens * np.eye(features_TxR.shape[1]), atol=1e-9 * tokens
    )
    waves = sinusoids(np.arange(tokens) - (tokens - 1) / 2, width)
    np.testing.assert_allclose(features_TxR @ coefficients_RxE, waves, atol=1e-7)


@pytest.mark.parametrize("offset", [0, 1, 41])
def test_products_of_keys_and_features_are_relative_keys(offset):
    tokens, heads, size, width = 41, 2, 3, 10
    relative = np.random.default_rng(0).standard_normal((width, heads, size))
    with jax.enable_x64(True):
        keys = np.asarray(position_keys(jnp.asarray(relative), tokens, offset))
    distances = np.arange(tokens)[:, None] - np.arange(tokens) + offset
    expected = np.einsum("ije,ehk->ijhk", sinusoids(distances, width), relative)
    actual = np.einsum("irhk,jr->ijhk", keys, features(tokens, width)[0])
    np.testing.assert_allclose(actual, expected, atol=1e-8)
