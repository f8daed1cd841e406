import jax
import numpy as np
import pytest

from aloe.attention.dropout import DropoutKeys, dropout, kept_mask, relu_dropout

KEYS = jax.random.split(jax.random.key(3), 6)


@pytest.mark.parametrize("shape", [(5, 7), (2, 4, 8)])
def test_masks_follow_examples_whatever_the_batch(shape):
    whole = np.asarray(kept_mask(KEYS, 0.4, shape))
    compiled = jax.jit(kept_mask, static_argnums=(1, 2))
    halves = [np.asarray(compiled(part, 0.4, shape)) for part in (KEYS[:3], KEYS[3:])]
    np.testing.assert_array_equal(np.concatenate(halves), whole)
    assert whole.shape == (6, *shape)
    assert len(np.unique(whole.reshape(6, -1), axis=0)) == 6


def correlations(rows):
    """Products of all pairs of rows, over the square root of the number of columns: variance 1 if independent."""
    products = rows @ rows.T / np.sqrt(rows.shape[1])
    return products[np.triu_indices(len(rows), 1)]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_shares_and_independence(rate):
    """Rows, columns, heads, examples: the largest of n correlations of independent masks is about sqrt(2 log n)."""
    share, deviation = 1 - rate, np.sqrt(rate * (1 - rate))
    mask = np.asarray(kept_mask(KEYS, rate, (4, 150, 640)), np.float64)
    assert abs(mask.mean() - share) < 4 * deviation / np.sqrt(mask.size)
    for axes in [(3,), (2,), (2, 3)]:  # also the share kept in each row, column and head
        shares = (mask.mean(axes) - share) / deviation * np.sqrt(np.prod([mask.shape[axis] for axis in axes]))
        assert abs(np.mean(shares**2) - 1) < 6 * np.sqrt(2 / shares.size)
    centred = (mask - share) / deviation
    for rows in (
        centred.transpose(2, 0, 1, 3).reshape(150, -1),
        centred.transpose(3, 0, 1, 2).reshape(640, -1),
        centred.transpose(1, 0, 2, 3).reshape(4, -1),
        centred.reshape(6, -1),
    ):
        found = correlations(rows)
        assert np.abs(found).max() < np.sqrt(2 * np.log(found.size)) + 2
        assert abs(np.mean(found**2) - 1) < 6 * np.sqrt(2 / found.size)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_no_pattern_at_the_corners_of_rectangles(rate):
    """Detects masks that add or xor a number per row and one per column: three corners would determine the fourth."""
    mask = np.asarray(kept_mask(KEYS, rate, (128, 256)), np.float64)
    centred = (mask - (1 - rate)) / np.sqrt(rate * (1 - rate))
    for down, right in [(1, 1), (1, 2), (3, 1), (64, 128)]:
        corners = centred[:, :-down, :-right] * centred[:, down:, :-right] * centred[:, :-down, right:]
        corners *= centred[:, down:, right:]
        assert abs(corners.sum()) < 4.5 * np.sqrt(corners.size)
    # All rectangles at once: the fourth powers of the singular values have the same sum as for a random matrix, and the
    # largest singular value is no larger than that of one.
    singular_values = np.linalg.svd(centred, compute_uv=False)
    rows, columns = mask.shape[1:]
    expected = rows * columns * (rows + columns - 2 + np.mean(centred**4))
    assert abs(np.mean(np.sum(singular_values**4, axis=-1)) / expected - 1) < 0.04
    assert singular_values.max() < 1.1 * (np.sqrt(rows) + np.sqrt(columns))


def test_neighbours_are_as_often_kept_together_as_chance_has_it():
    """Chi-square of the 16 patterns of four elements: neighbours in a row, a column, a square and a diagonal."""
    mask = np.asarray(kept_mask(KEYS, 0.3, (3, 200, 400)), int)
    for places in (
        [(0, 0), (0, 1), (0, 2), (0, 3)],
        [(0, 0), (1, 0), (2, 0), (3, 0)],
        [(0, 0), (0, 1), (1, 0), (1, 1)],
        [(0, 0), (1, 1), (2, 2), (3, 3)],
    ):
        blocks = [mask[..., i : 196 + i : 4, j : 396 + j : 4] for i, j in places]
        pattern = sum(block << bit for bit, block in enumerate(blocks))
        counts = np.bincount(pattern.ravel(), minlength=16)
        ones = np.array([bin(number).count("1") for number in range(16)])
        expected = pattern.size * 0.7**ones * 0.3 ** (4 - ones)
        assert np.sum((counts - expected) ** 2 / expected) < 45  # 15 degrees of freedom: by chance once in 13,000


def test_dropout_zeroes_or_scales_and_so_does_its_gradient():
    x = jax.random.normal(jax.random.key(0), (6, 5, 7)) + 3
    dropped, gradient = jax.vjp(lambda x: dropout(x, 0.25, KEYS), x)
    mask = np.asarray(kept_mask(KEYS, 0.25, (5, 7)))
    np.testing.assert_allclose(dropped, np.where(mask, np.asarray(x) / 0.75, 0), rtol=1e-6)
    np.testing.assert_allclose(gradient(x)[0], np.where(mask, np.asarray(x) / 0.75, 0), rtol=1e-6)


def test_dropout_of_a_relu_is_the_relu_and_then_the_dropout_and_so_is_its_gradient():
    x, cotangent = jax.random.normal(jax.random.key(0), (2, 6, 5, 7))
    together, gradient = jax.vjp(lambda x: relu_dropout(x, 0.25, KEYS), x)
    apart, expected = jax.vjp(lambda x: dropout(jax.nn.relu(x), 0.25, KEYS), x)
    np.testing.assert_array_equal(together, apart)
    np.testing.assert_allclose(gradient(cotangent)[0], expected(cotangent)[0], rtol=1e-6)


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
