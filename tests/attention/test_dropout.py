import jax
import numpy as np
import pytest

from aloe.attention.dropout import DropoutKeys, dropout, kept_mask, kept_share

KEYS = jax.random.split(jax.random.key(3), 6)


@pytest.mark.parametrize("shape", [(5, 7), (2, 4, 8)])
def test_masks_follow_examples_whatever_the_batch(shape):
    whole = np.asarray(kept_mask(KEYS, 0.4, shape))
    compiled = jax.jit(kept_mask, static_argnums=(1, 2))
    halves = [np.asarray(compiled(part, 0.4, shape)) for part in (KEYS[:3], KEYS[3:])]
    np.testing.assert_array_equal(np.concatenate(halves), whole)
    assert whole.shape == (6, *shape)
    assert len(np.unique(whole.reshape(6, -1), axis=0)) == 6


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_shares_and_independence(rate):
    mask = np.asarray(kept_mask(KEYS, rate, (4, 100, 640)), np.float64)
    deviation = np.sqrt(kept_share(rate) * (1 - kept_share(rate)))
    assert abs(kept_share(rate) - (1 - rate)) <= 1 / 512
    assert abs(mask.mean() - kept_share(rate)) < 4 * deviation / np.sqrt(mask.size)
    # Bytes of one word, other words, other examples: no two are correlated.
    centred = (mask - kept_share(rate)) / deviation
    rows = centred.transpose(2, 0, 1, 3).reshape(100, -1)
    correlations = rows @ rows.T / rows.shape[1] - np.eye(100)
    assert np.abs(correlations[~np.eye(100, dtype=bool)]).max() < 5.5 / np.sqrt(rows.shape[1])
    examples = centred.reshape(6, -1)
    correlations = examples @ examples.T / examples.shape[1]
    assert np.abs(correlations[~np.eye(6, dtype=bool)]).max() < 4.5 / np.sqrt(examples.shape[1])


def test_dropout_zeroes_or_scales():
    x = jax.random.normal(jax.random.key(0), (6, 5, 7)) + 3
    dropped = np.asarray(dropout(x, 0.25, KEYS))
    mask = np.asarray(kept_mask(KEYS, 0.25, (5, 7)))
    np.testing.assert_allclose(dropped, np.where(mask, np.asarray(x) / 0.75, 0), rtol=1e-6)


def test_split_keys_differ_and_follow_examples():
    keys = DropoutKeys(KEYS, jax.random.key(0)).split(3, 2)
    assert keys.examples_B.shape == (3, 2, 6)
    assert keys.step.shape == (3, 2)
    numbers = np.asarray(jax.random.key_data(keys.examples_B)).reshape(-1, 2)
    assert len(np.unique(numbers, axis=0)) == 3 * 2 * 6
    assert len(np.unique(np.asarray(jax.random.key_data(keys.step)).reshape(-1, 2), axis=0)) == 3 * 2
    part = DropoutKeys(KEYS[4:], jax.random.key(0)).split(3, 2)
    assert np.all(part.examples_B == keys.examples_B[..., 4:])
    assert np.all(part.step == keys.step)
    assert np.all(keys.at(1).at(0).examples_B == keys.examples_B[1, 0])
    assert keys.at(1).at(0).step == keys.step[1, 0]
