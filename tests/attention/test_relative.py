"""Plain XLA attention against the definition: forward and gradient, both forms, lengths that fit no tile."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aloe.attention import relative_attention
from aloe.attention.definition import FORMS
from tests.attention.cases import (
    defined,
    distance,
    draw,
    dropout_for,
    exact_value_and_gradients,
    value_and_gradients,
    worst,
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("tokens", "heads", "size", "rate"), [(1, 2, 2, 0), (2, 1, 4, 0), (13, 3, 6, 0), (37, 2, 9, 0), (13, 3, 6, 0.3)]
)
def test_is_the_definition_in_float64(form, tokens, heads, size, rate):
    arguments, cotangent = draw(tokens, heads, size)
    dropout = dropout_for(2, rate)
    exactly = defined(dropout, tokens, heads, form=form)
    expected, weights = exactly(*arguments)
    with jax.enable_x64(True):
        out, gradients = value_and_gradients(arguments, cotangent, jnp.float64, form=form, dropout=dropout)
        _, actual_weights = relative_attention(*map(jnp.asarray, arguments), form=form, return_weights=True)
    assert worst(out, expected) < 1e-8
    assert worst(np.asarray(actual_weights), weights) < 1e-8

    rng = np.random.default_rng(1)
    for number, gradient in enumerate(gradients):  # along a random direction, by central differences
        direction = rng.standard_normal(gradient.shape)

        def moved(step, number=number, direction=direction):
            changed = [x + step * direction if n == number else x for n, x in enumerate(arguments)]
            return np.sum(exactly(*changed)[0] * cotangent)

        slope = (moved(1e-5) - moved(-1e-5)) / 2e-5
        scale = np.linalg.norm(gradient) + np.linalg.norm(cotangent)
        assert abs(np.sum(gradient * direction) - slope) < 1e-7 * scale


@pytest.mark.parametrize(
    ("form", "tokens", "heads", "size"),
    [("bidirectional", 29, 3, 18), ("bidirectional", 61, 2, 38), ("released", 29, 3, 18)],
)
def test_float32_and_bfloat16_round_and_no_more(form, tokens, heads, size):
    arguments, cotangent = draw(tokens, heads, size)
    exact = exact_value_and_gradients(arguments, cotangent, form=form)
    out, gradients = value_and_gradients(arguments, cotangent, jnp.float32, form=form)
    assert worst(out, exact[0]) < 3e-6
    assert max(map(worst, gradients, exact[1])) < 1e-5

    # Inputs are rounded to bfloat16 (8 bits, so 0.2 % on average); then products, weights and output.
    out, gradients = value_and_gradients(arguments, cotangent, jnp.bfloat16, form=form)
    assert distance(out, exact[0]) < 0.01
    assert max(map(distance, gradients, exact[1])) < 0.02


@pytest.mark.parametrize("form", FORMS)
def test_dropout_of_weights_is_that_of_the_definition(form):
    arguments, _ = draw(tokens=11, heads=3, size=4)
    dropout = dropout_for(2, 0.3)
    expected, weights = defined(dropout, 11, 3, form=form)(*arguments)
    out, actual_weights = relative_attention(
        *(jnp.asarray(argument, jnp.float32) for argument in arguments),
        form=form,
        dropout=dropout,
        return_weights=True,
    )
    assert worst(out, expected) < 3e-6
    assert worst(actual_weights, weights) < 3e-6


@pytest.mark.parametrize("form", FORMS)
def test_no_array_of_pairs_waits_for_the_gradient(form):
    tokens, heads, size = 48, 2, 3
    arguments = [jnp.asarray(argument, jnp.float32) for argument in draw(tokens, heads, size)[0]]
    dropout = (0.3, jax.random.split(jax.random.key(0), 2))
    pull = jax.vjp(lambda *arguments: relative_attention(*arguments, form=form, dropout=dropout)[0], *arguments)[1]
    kept = [leaf.shape for leaf in jax.tree.leaves(pull) if hasattr(leaf, "shape")]
    assert (2, heads, tokens, size) in kept
    assert [shape for shape in kept if shape.count(tokens) > 1] == []
