"""Plain XLA attention against the definition: forward and gradient, both forms, lengths that fit no tile."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aloe.attention import definition, relative_attention
from aloe.attention.definition import FORMS
from aloe.attention.dropout import kept_mask

ARGUMENTS = range(6)


def draw(tokens, heads, size, batch=2, seed=0):
    """Arguments of attention, and a cotangent of its output, in float64."""
    rng = np.random.default_rng(seed)
    q, k, v, cotangent = rng.standard_normal((4, batch, tokens, heads, size))
    width = heads * size
    relative = rng.standard_normal((width, heads, size)) / np.sqrt(width / 2)
    return (q, k, v, relative, *0.2 * rng.standard_normal((2, heads, size))), cotangent


def value_and_gradients(arguments, cotangent, dtype, **options):
    def product(*arguments):
        out, _ = relative_attention(*arguments, **options)
        return jnp.sum(out * cotangent.astype(dtype), dtype=jnp.promote_types(dtype, jnp.float32)), out

    arguments = [jnp.asarray(argument, dtype) for argument in arguments]
    (_, out), gradients = jax.jit(jax.value_and_grad(product, ARGUMENTS, has_aux=True))(*arguments)
    return np.asarray(out, np.float64), [np.asarray(gradient, np.float64) for gradient in gradients]


def distance(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def worst(actual, expected):
    return np.abs(actual - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("tokens", "heads", "size"), [(1, 2, 2), (2, 1, 4), (13, 3, 6), (37, 2, 9)])
def test_is_the_definition_in_float64(form, tokens, heads, size):
    arguments, cotangent = draw(tokens, heads, size)
    expected, weights = definition.relative_attention(*arguments, form=form)
    with jax.enable_x64(True):
        out, gradients = value_and_gradients(arguments, cotangent, jnp.float64, form=form)
        _, actual_weights = relative_attention(*map(jnp.asarray, arguments), form=form, return_weights=True)
    assert worst(out, expected) < 1e-8
    assert worst(np.asarray(actual_weights), weights) < 1e-8

    rng = np.random.default_rng(1)
    for number, gradient in enumerate(gradients):  # along a random direction, by central differences
        direction = rng.standard_normal(gradient.shape)

        def moved(step, number=number, direction=direction):
            changed = [x + step * direction if n == number else x for n, x in enumerate(arguments)]
            return np.sum(definition.relative_attention(*changed, form=form)[0] * cotangent)

        slope = (moved(1e-5) - moved(-1e-5)) / 2e-5
        scale = np.linalg.norm(gradient) + np.linalg.norm(cotangent)
        assert abs(np.sum(gradient * direction) - slope) < 1e-7 * scale


@pytest.mark.parametrize(
    ("form", "tokens", "heads", "size"),
    [("bidirectional", 29, 3, 18), ("bidirectional", 61, 2, 38), ("released", 29, 3, 18)],
)
def test_float32_and_bfloat16_round_and_no_more(form, tokens, heads, size):
    arguments, cotangent = draw(tokens, heads, size)
    with jax.enable_x64(True):
        exact = value_and_gradients(arguments, cotangent, jnp.float64, form=form)
    out, gradients = value_and_gradients(arguments, cotangent, jnp.float32, form=form)
    assert worst(out, exact[0]) < 3e-6
    assert max(map(worst, gradients, exact[1])) < 1e-5

    # What is rounded to bfloat16 (8 bits, so to 0.2 % on average) is the input; then products, weights and output.
    out, gradients = value_and_gradients(arguments, cotangent, jnp.bfloat16, form=form)
    assert distance(out, exact[0]) < 0.01
    assert max(map(distance, gradients, exact[1])) < 0.02


@pytest.mark.parametrize("form", FORMS)
def test_dropout_of_weights_is_that_of_the_definition(form):
    arguments, _ = draw(tokens=11, heads=3, size=4)
    keys = jax.random.split(jax.random.key(0), 2)
    kept = np.asarray(kept_mask(keys, 0.3, (3, 11, 11)))
    expected, weights = definition.relative_attention(*arguments, form=form, kept_BxHxTxT=kept, kept_share=0.7)
    out, actual_weights = relative_attention(
        *(jnp.asarray(argument, jnp.float32) for argument in arguments),
        form=form,
        dropout=(0.3, keys),
        return_weights=True,
    )
    assert worst(out, expected) < 3e-6
    assert worst(actual_weights, weights) < 3e-6


def test_weights_come_only_when_asked_for():
    arguments = [jnp.asarray(argument, jnp.float32) for argument in draw(5, 2, 4)[0]]
    assert relative_attention(*arguments)[1] is None
    assert np.asarray(relative_attention(*arguments, return_weights=True)[1]).shape == (2, 2, 5, 5)


@pytest.mark.parametrize("number", range(1, 6))
def test_shapes_that_do_not_fit_are_named(number):
    arguments = [jnp.asarray(argument, jnp.float32) for argument in draw(5, 2, 4)[0]]
    arguments[number] = arguments[number][..., 1:]
    name = ("q", "k", "v", "relative", "content_bias", "position_bias")[number]
    with pytest.raises(ValueError, match=f"^{name} of shape"):
        relative_attention(*arguments)


def test_unknown_form_is_named():
    arguments = [jnp.asarray(argument, jnp.float32) for argument in draw(5, 2, 4)[0]]
    with pytest.raises(ValueError, match=r"'causal'.*bidirectional, released"):
        functools.partial(relative_attention, form="causal")(*arguments)
