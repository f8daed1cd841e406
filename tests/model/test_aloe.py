import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aloe.attention.dropout import DropoutKeys
from aloe.model.aloe import Aloe
from aloe.model.config import ModelConfig

CONFIG = ModelConfig(
    layers=2,
    heads=2,
    latent=6,
    slots=3,
    frames=4,
    outputs={"colour": 5, "choice": 1},
    vocabulary=9,
    hidden=32,
    head_hidden=16,
    dtype="float32",
)
LATENTS = jax.random.normal(jax.random.key(0), (4, 4, 3, 6))
WORDS = jax.random.randint(jax.random.key(1), (4, 5), 0, 9)
TAGS = jax.nn.one_hot(jnp.array([0, 0, 0, 1, 1]), 2)[None].repeat(4, axis=0)
VISIBLE = jax.random.bernoulli(jax.random.key(2), 0.7, (4, 4, 3))


def build(**changes):
    return Aloe(dataclasses.replace(CONFIG, **changes), rngs=nnx.Rngs(0))


def transform(model, tokens, keys=None):
    return jax.jit(lambda tokens, keys: model.transform(tokens, keys))(tokens, keys)


def test_answers_and_latents_are_float32_of_the_right_shape():
    model = build(dtype="bfloat16")
    outputs = transform(model, model.tokens(LATENTS, WORDS, TAGS))
    assert outputs.dtype == jnp.bfloat16
    assert outputs.shape == (4, 1 + 5 + 12, 16)
    answers = {head: model.answer(outputs, head) for head in CONFIG.outputs}
    assert {head: answer.shape for head, answer in answers.items()} == {"colour": (4, 5), "choice": (4, 1)}
    assert model.infill(outputs).shape == LATENTS.shape
    assert {array.dtype for array in (*answers.values(), model.infill(outputs))} == {jnp.dtype(jnp.float32)}
    assert model.attention_weights(model.tokens(LATENTS, WORDS, TAGS)).shape == (2, 4, 2, 18, 18)


def test_works_without_words():
    model = build(vocabulary=0)
    outputs = transform(model, model.tokens(LATENTS))
    assert outputs.shape == (4, 1 + 12, 16)
    assert model.answer(outputs, "colour").shape == (4, 5)


def test_answers_read_cls_and_latents_read_their_own_object():
    model = build()
    outputs = jax.random.normal(jax.random.key(3), (4, 18, 16))
    from_answer = jax.grad(lambda outputs: jnp.sum(model.answer(outputs, "colour") ** 2))(outputs)
    assert np.all(from_answer[:, 1:] == 0)
    assert np.any(from_answer[:, 0] != 0)
    from_latent = jax.grad(lambda outputs: jnp.sum(model.infill(outputs)[:, 2, 1] ** 2))(outputs)
    own = 1 + 5 + 2 * 3 + 1
    assert np.all(np.delete(from_latent, own, axis=1) == 0)
    assert np.all(np.any(from_latent[:, own] != 0, axis=-1))


def test_streams_may_share_a_pass():
    model = build()
    first, second = model.tokens(LATENTS, WORDS, TAGS), model.tokens(LATENTS, WORDS, TAGS, VISIBLE)
    together = transform(model, jnp.concatenate([first, second]))
    apart = jnp.concatenate([transform(model, first), transform(model, second)])
    np.testing.assert_allclose(together, apart, atol=1e-5)


@pytest.mark.parametrize("stop", [True, False])
def test_auxiliary_gradient_stops_at_words_and_cls_if_told_to(stop):
    model = build(mask_token="learned")
    # Both are initialized to zero, exactly where the ReLU of the projection has no gradient.
    model.embedding.cls[...] = jnp.linspace(-1, 1, 8)
    model.embedding.mask[...] = jnp.linspace(1, -1, 8)
    graphdef, params = nnx.split(model, nnx.Param)

    def auxiliary_loss(params):
        model = nnx.merge(graphdef, params)
        tokens = model.tokens(LATENTS, WORDS, TAGS, VISIBLE, stop_language_gradient=stop)
        return jnp.sum((model.infill(transform(model, tokens)) - LATENTS) ** 2 * ~VISIBLE[..., None])

    gradient = jax.grad(auxiliary_loss)(params)
    language = [gradient.embedding.cls[...], gradient.embedding.words.embedding[...]]
    assert [bool(np.any(part != 0)) for part in language] == [not stop, not stop]
    for reached in (gradient.infill_map, gradient.tower, gradient.embedding.mask):
        for path, leaf in jax.tree_util.tree_leaves_with_path(reached):
            assert np.any(leaf != 0), path


@pytest.mark.parametrize("mask_token", ["zero", "learned"])
def test_outputs_do_not_depend_on_hidden_latents(mask_token):
    model = build(mask_token=mask_token)

    def loss(latents):
        outputs = transform(model, model.tokens(latents, WORDS, TAGS, VISIBLE))
        return jnp.sum(model.infill(outputs) ** 2) + jnp.sum(model.answer(outputs, "colour") ** 2)

    gradient = jax.grad(loss)(LATENTS)
    assert 0 < np.sum(~VISIBLE) < VISIBLE.size
    assert np.all(gradient[~VISIBLE] == 0)
    assert np.all(np.any(gradient[VISIBLE] != 0, axis=-1))


def test_keys_turn_dropout_on():
    model = build(dropout=0.5)
    tokens = model.tokens(LATENTS, WORDS, TAGS)
    keys = DropoutKeys(jax.random.split(jax.random.key(4), 4), jax.random.key(5))
    assert np.abs(transform(model, tokens, keys) - transform(model, tokens)).max() > 0.1


def test_infill_may_be_left_out():
    model = build(infill=False)
    outputs = transform(model, model.tokens(LATENTS, WORDS, TAGS))
    with pytest.raises(ValueError, match="infill=False"):
        model.infill(outputs)
    sizes = [sum(leaf.size for leaf in jax.tree.leaves(nnx.state(build(infill=infill)))) for infill in (True, False)]
    assert sizes[0] - sizes[1] == 16 * 6 + 6


def test_initial_embeddings_and_maps():
    model = build(vocabulary=2000, latent=16, heads=10, head_hidden=128, mask_token="learned")
    embedding = np.asarray(model.embedding.words.embedding[...])
    assert embedding.shape == (2000, 14)
    assert abs(embedding.std() - 1) < 0.02
    assert np.all(model.embedding.cls[...] == 0)
    assert np.all(model.embedding.mask[...] == 0)
    for linear, inputs in ((model.infill_map, 180), (model.heads["colour"].hidden, 180)):
        kernel = np.asarray(linear.kernel[...])
        assert abs(kernel.std() * np.sqrt(inputs) - 0.8796) < 0.05
        assert np.all(linear.bias[...] == 0)
