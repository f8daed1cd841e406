"""What holds for every architecture's tower: shapes, dropout tied to examples, and types."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aloe.attention.dropout import DropoutKeys
from aloe.model.aloe import Aloe
from aloe.model.config import ARCHITECTURES, ModelConfig
from aloe.model.tower import TOWERS

CONFIG = ModelConfig(
    layers=2,
    heads=2,
    latent=6,
    slots=3,
    frames=4,
    outputs={"answer": 5},
    vocabulary=9,
    words=2,
    hidden=16,
    head_hidden=16,
    dropout=0.3,
    dtype="float32",
)
BATCH = 4
TOKENS = jax.random.normal(jax.random.key(0), (BATCH, 1 + 2 + 12, 8))
KEYS = DropoutKeys(jax.random.split(jax.random.key(1), BATCH), jax.random.key(2))
SEQUENCE = {"transformer": (15, 16), "hierarchical": (1 + 2 + 4, 16), "mlp": (1, 16), "lstm": (15, 32)}

each_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)


def build(architecture, **changes):
    """A model with all parameters moved away from zero, where a gradient could vanish."""
    graphdef, params = nnx.split(
        Aloe(dataclasses.replace(CONFIG, architecture=architecture, **changes), rngs=nnx.Rngs(0)), nnx.Param
    )
    moved = jax.tree.map(
        lambda leaf: leaf + 0.1 * np.random.default_rng(leaf.size).normal(size=leaf.shape).astype(np.float32), params
    )
    return graphdef, moved


@functools.cache
def transform(architecture, **changes):
    """The compiled function (tokens, keys) → outputs."""
    graphdef, params = build(architecture, **changes)
    return jax.jit(lambda tokens, keys=None: nnx.merge(graphdef, params).transform(tokens, keys))


def test_every_architecture_that_a_config_may_name_has_a_tower():
    assert tuple(TOWERS) == ARCHITECTURES


@each_architecture
def test_outputs_answers_and_latents_have_the_right_shapes(architecture):
    model = nnx.merge(*build(architecture))
    outputs = transform(architecture)(TOKENS)
    assert outputs.shape == (BATCH, *SEQUENCE[architecture])
    assert outputs.shape[-1] == model.tower.width
    assert model.answer(outputs, "answer").shape == (BATCH, 5)
    assert model.infill(outputs).shape == (BATCH, 4, 3, 6)


@each_architecture
def test_dropout_follows_examples(architecture):
    run = transform(architecture)
    whole = run(TOKENS, KEYS)
    turned = run(TOKENS[::-1], DropoutKeys(KEYS.examples_B[::-1], KEYS.step))
    np.testing.assert_allclose(turned[::-1], whole, rtol=1e-5, atol=1e-5)
    # A dropped element is exactly zero, so a mask that moved would differ by far more than rounding:
    assert np.abs(run(TOKENS, DropoutKeys(KEYS.examples_B[::-1], KEYS.step)) - whole).max() > 0.02
    assert np.abs(run(TOKENS) - whole).max() > 0.02


@each_architecture
def test_a_rate_of_zero_is_no_dropout(architecture):
    np.testing.assert_array_equal(transform(architecture, dropout=0)(TOKENS, KEYS), transform(architecture)(TOKENS))


@each_architecture
def test_bfloat16_is_of_the_computation_and_not_of_the_parameters(architecture):
    outputs = transform(architecture, dtype="bfloat16")(TOKENS)
    assert outputs.dtype == jnp.bfloat16
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(build(architecture, dtype="bfloat16")[1]))
    expected = transform(architecture)(TOKENS)
    assert np.linalg.norm(outputs.astype(jnp.float32) - expected) < 0.02 * np.linalg.norm(expected)


def test_remat_changes_nothing():
    """For an LSTM; the other architectures use the transformer's, or have none."""

    def gradient(remat):
        graphdef, params = build("lstm", remat=remat)

        @jax.jit
        @jax.grad
        def gradient(params):
            return jnp.sum(jnp.sin(nnx.merge(graphdef, params).transform(TOKENS, KEYS)))

        return gradient(params)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max()),
        gradient(remat=True),
        gradient(remat=False),
    )


def test_only_a_transformer_tells_its_attention():
    with pytest.raises(ValueError, match="architecture is mlp"):
        nnx.merge(*build("mlp")).attention_weights(TOKENS)
