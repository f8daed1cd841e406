"""The algebra of positions, against the sinusoids of each distance by itself."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aloe.attention.definition import sinusoids
from aloe.attention.positions import (
    coefficients,
    coefficients_by_keys,
    coefficients_by_turning,
    features,
    position_keys,
)


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


@pytest.mark.parametrize("offset", [0, 29])
@pytest.mark.parametrize("way", [coefficients_by_keys, coefficients_by_turning])
def test_every_way_to_the_coefficients_gives_the_products_with_relative_keys(way, offset):
    tokens, heads, size, width = 29, 2, 3, 10
    rng = np.random.default_rng(0)
    q, relative = rng.standard_normal((2, heads, tokens, size)), rng.standard_normal((width, heads, size))
    slope = rng.standard_normal((2, heads, tokens, tokens))
    feature = features(tokens, width)[0]
    distances = np.arange(tokens)[:, None] - np.arange(tokens) + offset
    waves = sinusoids(distances, width)
    with jax.enable_x64(True):
        made, pull = jax.vjp(functools.partial(way, offset=offset), jnp.asarray(q), jnp.asarray(relative))
        of_q, of_relative = map(np.asarray, pull(jnp.asarray(slope @ feature)))
    made = np.asarray(made) @ feature.T
    np.testing.assert_allclose(made, np.einsum("bhik,ije,ehk->bhij", q, waves, relative, optimize=True), atol=1e-7)
    np.testing.assert_allclose(of_q, np.einsum("bhij,ije,ehk->bhik", slope, waves, relative, optimize=True), atol=1e-7)
    np.testing.assert_allclose(of_relative, np.einsum("bhij,ije,bhik->ehk", slope, waves, q, optimize=True), atol=1e-6)


def test_tpus_turn_and_others_have_keys():
    q, relative = jnp.ones((1, 2, 7, 3)), jnp.ones((10, 2, 3))

    def program(platform):
        both = jax.jit(jax.value_and_grad(lambda *arguments: jnp.sum(coefficients(*arguments)), (0, 1)))
        return both.trace(q, relative).lower(lowering_platforms=(platform,)).as_text()

    of_tokens = f"7x{features(7, 10)[0].shape[1]}x2x3xf32"  # a key for each token and feature
    assert of_tokens in program("cpu")
    assert of_tokens in program("cuda")
    assert of_tokens not in program("tpu")
