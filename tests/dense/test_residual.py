"""Sum and LayerNorm, by plain XLA and by the kernels, against their definition in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aloe.attention.dropout import kept_mask, mask_words
from aloe.dense.projection import padded
from aloe.dense.residual import ROWS, TILES, Branch, Settings, normalized_sum
from tests.attention.cases import KERNELS, distance, lowered_for_a_gpu

EPSILON, RATE = 1e-5, 0.3
SIZES = [(57, 180), (ROWS, 52), (ROWS * TILES + 9, 304), (1, 7)]


def draw(tokens, width, batch=3):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, batch, tokens, width))
    rows, dnormalized = rng.standard_normal((2, batch, tokens, padded(width)))
    return (x, rows, rng.standard_normal(width)), (dy, dnormalized)


def definition(x, rows, bias, kept, rate):
    """In jnp, to be computed in float64; its gradient is by autodiff."""
    width = x.shape[-1]
    y = x + jnp.where(kept, (rows[..., :width] + bias) / (1 - rate), 0)
    normalized = (y - y.mean(-1, keepdims=True)) / jnp.sqrt(y.var(-1, keepdims=True) + EPSILON)
    after = jnp.zeros((*y.shape[:-1], padded(width) - width)).at[..., 0].set(1)
    return y, jnp.concatenate([normalized, after], axis=-1)


def values_and_gradients(function, arguments, slopes, dtype):
    arguments = [jnp.asarray(x, jnp.promote_types(dtype, jnp.float32) if x.ndim == 1 else dtype) for x in arguments]
    values, pull = jax.vjp(jax.jit(function), *arguments)
    gradients = pull(tuple(jnp.asarray(slope, dtype) for slope in slopes))
    return [np.asarray(x, np.float64) for x in (*values, *gradients)]


def exact(arguments, slopes, keys, rate):
    _, tokens, width = arguments[0].shape
    kept = np.asarray(kept_mask(keys, rate, (tokens, width)))
    with jax.enable_x64(True):
        return values_and_gradients(functools.partial(definition, kept=kept, rate=rate), arguments, slopes, jnp.float64)


@pytest.mark.parametrize("rate", [0, RATE])
@pytest.mark.parametrize(("tokens", "width"), SIZES)
@pytest.mark.parametrize(("dtype", "within"), [(jnp.float32, 2e-6), (jnp.bfloat16, 6e-3)])
def test_is_the_definition(tokens, width, rate, dtype, within):
    arguments, slopes = draw(tokens, width)
    keys = jax.random.split(jax.random.key(0), 3)
    words = mask_words(keys, (tokens, width)) if rate else None
    expected = exact(arguments, slopes, keys, rate)
    for path in ("xla", KERNELS):
        settings = Settings(padded(width), EPSILON, rate, path)
        found = values_and_gradients(
            lambda x, rows, bias, s=settings: normalized_sum(s, x, Branch(rows, bias, words)), arguments, slopes, dtype
        )
        for actual, wanted in zip(found, expected, strict=True):
            assert distance(actual, wanted) < within, path


@pytest.mark.parametrize("path", ["xla", KERNELS])
@pytest.mark.parametrize(("tokens", "width"), SIZES)
def test_without_a_branch_y_is_x(path, tokens, width):
    (x, _, _), slopes = draw(tokens, width)
    settings = Settings(padded(width), EPSILON, path=path)
    y, normalized, dx = values_and_gradients(lambda x: normalized_sum(settings, x, None), [x], slopes, jnp.float32)
    nothing = (x, np.zeros((*x.shape[:-1], padded(width))), np.zeros(width))
    _, expected, expected_dx, *_ = exact(nothing, slopes, jax.random.split(jax.random.key(0), 3), 0)
    np.testing.assert_array_equal(y, np.float32(x))
    assert distance(normalized, expected) < 2e-6
    assert distance(dx, expected_dx) < 2e-6


@pytest.mark.parametrize("path", ["xla", KERNELS])
def test_a_branch_has_no_gradient_after_its_width(path):
    arguments, slopes = draw(9, 52)
    settings = Settings(padded(52), EPSILON, path=path)
    function = lambda x, rows, bias: normalized_sum(settings, x, Branch(rows, bias, None))  # noqa: E731
    drows = values_and_gradients(function, arguments, slopes, jnp.float32)[3]
    assert np.all(drows[..., 52:] == 0)
    assert np.all(drows[..., :52] != 0)


@pytest.mark.parametrize(("tokens", "width", "rate"), [(233, 180, RATE), (641, 304, 0), (57, 304, RATE), (8, 52, RATE)])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_kernels_lower_to_triton(tokens, width, rate, dtype):
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 4))
    shapes = [(4, tokens, width), (4, tokens, padded(width))]

    def forward_and_backward(x, rows, bias, keys):
        def layers(x, rows, bias):
            words = mask_words(keys, (tokens, width)) if rate else None
            x, normalized = normalized_sum(Settings(padded(width), EPSILON), x, None)
            return normalized_sum(Settings(padded(width), EPSILON, rate), x, Branch(rows + normalized, bias, words))

        values, pull = jax.vjp(layers, x, rows, bias)
        return pull(values)

    arguments = [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]
    lowered = lowered_for_a_gpu(forward_and_backward, *arguments, jax.ShapeDtypeStruct((width,), jnp.float32), keys)
    assert "residual_sum" in lowered
    assert "residual_gradient" in lowered
