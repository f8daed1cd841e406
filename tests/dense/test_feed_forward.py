"""A hidden layer, by plain XLA and by the kernels, against autodiff in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aloe.attention.dropout import kept_mask, mask_words
from aloe.dense.feed_forward import COLUMNS, Settings, feed_forward
from aloe.dense.projection import padded
from tests.attention.cases import KERNELS, distance, lowered_for_a_gpu

RATE = 0.3
SIZES = [(57, 180, 2), (130, 52, 1), (230, 304, 1), (9, 52, 1)]  # the last is too short for blocks within one example


def draw(tokens, width, blocks, batch=2):
    """Numbers that bfloat16 represents exactly, so that inputs of ReLU near 0 have the same sign at any precision."""
    rng = np.random.default_rng(0)
    lanes, columns = padded(width), blocks * COLUMNS
    x, slope = rng.integers(-4, 5, (2, batch, tokens, lanes)) / 4
    expand, contract = (rng.integers(-8, 9, shape) / 8 for shape in ((lanes, columns), (columns, lanes)))
    return (x, expand + 1 / 64, contract), slope


def value_and_gradients(function, arguments, slope, dtype):
    x, *weights = arguments
    wide = jnp.promote_types(dtype, jnp.float32)
    value, pull = jax.vjp(jax.jit(function), jnp.asarray(x, dtype), *(jnp.asarray(w, wide) for w in weights))
    return [np.asarray(x, np.float64) for x in (value, *pull(jnp.asarray(slope, dtype)))]


def exact(arguments, slope, keys, rate):
    x, expand, _ = arguments
    kept = np.asarray(kept_mask(keys, rate, (x.shape[1], expand.shape[1])))

    def layers(x, expand, contract):
        return jnp.where(kept, jax.nn.relu(x @ expand) / (1 - rate), 0) @ contract

    with jax.enable_x64(True):
        return value_and_gradients(layers, arguments, slope, jnp.float64)


@pytest.mark.parametrize("rate", [0, RATE])
@pytest.mark.parametrize(("tokens", "width", "blocks"), SIZES)
@pytest.mark.parametrize(("dtype", "within"), [(jnp.float32, 2e-6), (jnp.bfloat16, 6e-3)])
def test_is_relu_and_dropout_between_two_products(tokens, width, blocks, rate, dtype, within):
    arguments, slope = draw(tokens, width, blocks)
    keys = jax.random.split(jax.random.key(0), 2)
    words = mask_words(keys, (tokens, blocks * COLUMNS)) if rate else None
    expected = exact(arguments, slope, keys, rate)
    for path in ("xla", KERNELS):

        def layers(*arguments, path=path):
            return feed_forward(Settings(rate, path), *arguments, words)

        found = value_and_gradients(layers, arguments, slope, dtype)
        for actual, wanted in zip(found, expected, strict=True):
            assert distance(actual, wanted) < within, path


def saved_bytes(function, *arguments):
    """Bytes of what is saved for the backward pass, besides the arguments."""
    _, pull = jax.eval_shape(lambda *a: jax.vjp(function, *a), *arguments)
    given = {(x.shape, x.dtype) for x in arguments}
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(pull) if (x.shape, x.dtype) not in given)


def test_only_the_hidden_layer_waits_for_the_gradient():
    (x, expand, contract), _ = draw(57, 180, 2)
    words = mask_words(jax.random.split(jax.random.key(0), 2), (57, 256))
    x = jnp.asarray(x, jnp.bfloat16)
    layers = lambda *arguments: feed_forward(Settings(RATE, KERNELS), *arguments, words)  # noqa: E731
    assert saved_bytes(layers, x, jnp.float32(expand), jnp.float32(contract)) == 2 * 57 * 256 * 2


@pytest.mark.parametrize(("tokens", "width", "rate"), [(233, 180, RATE), (641, 304, 0), (57, 304, RATE), (8, 52, RATE)])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_kernels_lower_to_triton(tokens, width, rate, dtype):
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 4))
    lanes = padded(width)

    def forward_and_backward(x, expand, contract, keys):
        words = mask_words(keys, (tokens, 1024)) if rate else None
        value, pull = jax.vjp(lambda *a: feed_forward(Settings(rate), *a, words), x, expand, contract)
        return pull(value)

    shapes = [((4, tokens, lanes), dtype), ((lanes, 1024), jnp.float32), ((1024, lanes), jnp.float32)]
    lowered = lowered_for_a_gpu(forward_and_backward, *(jax.ShapeDtypeStruct(*shape) for shape in shapes), keys)
    assert ("feed_forward_hidden" in lowered) == (tokens > 8)  # too much of shorter examples' blocks would be empty
    assert "feed_forward_gradient" in lowered
