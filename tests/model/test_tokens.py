import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aloe.model.config import ModelConfig
from aloe.model.tokens import TokenEmbedding

CONFIG = ModelConfig(layers=1, heads=2, latent=6, slots=3, frames=4, outputs={"answer": 5}, vocabulary=9)
LATENTS = jax.random.normal(jax.random.key(0), (2, 4, 3, 6))
WORDS = jnp.array([[1, 2, 0], [8, 8, 3]])
TAGS = jax.random.normal(jax.random.key(1), (2, 3, 2))
VISIBLE = jnp.ones((2, 4, 3)).at[0, 1, 2].set(0).at[1, 3, 0].set(0)


def embedding(**changes):
    module = TokenEmbedding(dataclasses.replace(CONFIG, **changes), rngs=nnx.Rngs(0))
    module.cls[...] = jnp.arange(8.0)
    return module


def test_cls_then_words_then_objects_frame_by_frame():
    module = embedding()
    tokens = np.asarray(module(LATENTS, WORDS, TAGS))
    assert tokens.shape == (2, 1 + 3 + 12, 8)
    np.testing.assert_array_equal(tokens[:, 0], np.broadcast_to(np.arange(8.0), (2, 8)))
    for b in range(2):
        for w in range(3):
            expected = np.concatenate([module.words.embedding[WORDS[b, w]], TAGS[b, w], [1, 0]])
            np.testing.assert_array_equal(tokens[b, 1 + w], expected)
        for f in range(4):
            for n in range(3):
                np.testing.assert_array_equal(tokens[b, 4 + 3 * f + n], np.append(LATENTS[b, f, n], [0, 1]))


def test_hidden_latents_are_multiplied_by_zero():
    tokens = embedding()(LATENTS, visible_BxFxN=VISIBLE)
    expected = embedding()(LATENTS * VISIBLE[..., None])
    np.testing.assert_array_equal(tokens, expected)
    assert not np.array_equal(tokens, embedding()(LATENTS))


def test_learned_mask_token_stands_for_hidden_objects():
    module = embedding(mask_token="learned")
    module.mask[...] = jnp.arange(8.0) + 10
    objects = module(LATENTS, visible_BxFxN=VISIBLE)[:, 1:].reshape(2, 4, 3, 8)
    shown = module(LATENTS)[:, 1:].reshape(2, 4, 3, 8)
    hidden = VISIBLE == 0
    np.testing.assert_array_equal(objects[hidden], np.broadcast_to(module.mask[...], (2, 8)))
    np.testing.assert_array_equal(objects[~hidden], shown[~hidden])


@pytest.mark.parametrize("mask_token", ["zero", "learned"])
def test_what_is_hidden_does_not_get_through_even_if_it_is_no_number(mask_token):
    spoilt = jnp.where(VISIBLE[..., None] == 0, jnp.nan, LATENTS)
    assert np.all(np.isfinite(embedding(mask_token=mask_token)(spoilt, visible_BxFxN=VISIBLE)))


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"latents of shape \(2, 4, 3, 5\).*latents of 6"):
        embedding()(LATENTS[..., :5])
    with pytest.raises(ValueError, match=r"need tags of \(2, 3, 2\), not None"):
        embedding()(LATENTS, WORDS)
    with pytest.raises(ValueError, match=r"need tags of \(2, 3, 2\), not \(2, 2, 2\)"):
        embedding()(LATENTS, WORDS, TAGS[:, 1:])
    with pytest.raises(ValueError, match="without a vocabulary"):
        embedding(vocabulary=0)(LATENTS, WORDS, TAGS)
