"""The definition itself, against the released code's own way of computing it, and against what must follow from it."""

import numpy as np
import pytest

from aloe.attention.definition import FORMS, relative_attention, sinusoids


def draw(tokens, heads=2, size=3, width=8, batch=2, seed=0):
    rng = np.random.default_rng(seed)
    q, k, v = rng.standard_normal((3, batch, tokens, heads, size))
    return q, k, v, rng.standard_normal((width, heads, size)), *rng.standard_normal((2, heads, size))


@pytest.mark.parametrize("tokens", [1, 2, 3, 9])
def test_released_form_is_the_shift_of_transformer_xl(tokens):
    """A column of zeros is prepended, [T, T + 1] is reshaped to [T + 1, T], and the first row is dropped."""
    q, k, v, relative, content_bias, position_bias = arguments = draw(tokens)
    batch, _, heads, size = q.shape
    scaled = q / np.sqrt(size)
    keys = np.einsum("pe,ehk->phk", sinusoids(np.arange(tokens - 1, -1, -1), len(relative)), relative)
    unshifted = np.einsum("bihk,phk->bhip", scaled + position_bias, keys)
    padded = np.concatenate([np.zeros((batch, heads, tokens, 1)), unshifted], axis=-1)
    shifted = padded.reshape(batch, heads, tokens + 1, tokens)[:, :, 1:]
    logits = np.einsum("bihk,bjhk->bhij", scaled + content_bias, k) + shifted
    weights = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)

    out, defined = relative_attention(*arguments, form="released")
    np.testing.assert_allclose(defined, weights, rtol=1e-12)
    np.testing.assert_allclose(out, np.einsum("bhij,bjhk->bihk", weights, v), rtol=1e-11)


def test_bidirectional_positions_see_distances_of_either_sign():
    """With equal contents, logits depend on i − j only; and reversing time flips the sign of the distances."""
    tokens = 6
    q, k, v, relative, content_bias, position_bias = draw(tokens)
    q, k = np.broadcast_to(q[:, :1], q.shape), np.broadcast_to(k[:, :1], k.shape)
    _, weights = relative_attention(q, k, v, relative, content_bias, position_bias)
    logits = np.log(weights)
    differences = logits[:, :, :, 1:] - logits[:, :, :, :-1]  # the normalization of softmax cancels
    for i in range(1, tokens):
        np.testing.assert_allclose(differences[:, :, i, 1:], differences[:, :, i - 1, :-1], rtol=1e-9)

    sines = len(relative) // 2
    mirrored = np.concatenate([-relative[:sines], relative[sines:]])
    _, reversed_weights = relative_attention(q, k, v, mirrored, content_bias, position_bias)
    np.testing.assert_allclose(reversed_weights[:, :, ::-1, ::-1], weights, rtol=1e-9)


def test_forms_differ_above_the_diagonal_only():
    arguments = draw(5)
    logits = {form: np.log(relative_attention(*arguments, form=form)[1]) for form in FORMS}
    for i in range(5):
        rows = {form: logits[form][:, :, i] - logits[form][:, :, i, :1] for form in FORMS}
        np.testing.assert_allclose(rows["released"][..., : i + 1], rows["bidirectional"][..., : i + 1], atol=1e-12)
        assert np.all(np.abs(rows["released"][..., i + 1 :] - rows["bidirectional"][..., i + 1 :]) > 1e-6)


def test_dropped_weights_count_for_nothing():
    q, k, v, *others = draw(4)
    kept = np.ones((2, 2, 4, 4), bool)
    kept[..., 2] = False
    out, weights = relative_attention(q, k, v, *others, kept_BxHxTxT=kept, kept_share=0.75)
    v[:, 2] = 1e6
    changed, same_weights = relative_attention(q, k, v, *others, kept_BxHxTxT=kept, kept_share=0.75)
    np.testing.assert_array_equal(out, changed)
    np.testing.assert_array_equal(weights, same_weights)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-12)
