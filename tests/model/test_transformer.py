import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aloe.attention.dropout import DropoutKeys
from aloe.model.block import _drop_frequencies
from aloe.model.config import ModelConfig
from aloe.model.transformer import Transformer

CONFIG = ModelConfig(
    layers=2, heads=2, latent=6, slots=3, frames=4, outputs={"answer": 5}, hidden=32, dtype="float32", dropout=0.3
)
TOKENS = jax.random.normal(jax.random.key(0), (6, 11, 8))
KEYS = DropoutKeys(jax.random.split(jax.random.key(1), 6), jax.random.key(2))


@functools.cache
def outputs_and_gradients(loop="scan", remat=False, dtype="float32", train=False):
    """Outputs of the tower drawn with seed 0, and the gradient of a function of them; with dropout if `train`."""
    config = dataclasses.replace(CONFIG, loop=loop, remat=remat, dtype=dtype)
    graphdef, params = nnx.split(Transformer(config, rngs=nnx.Rngs(0)), nnx.Param)

    def loss(params):
        outputs = nnx.merge(graphdef, params)(TOKENS, KEYS if train else None)
        return jnp.sum(jnp.sin(outputs.astype(jnp.float32))), outputs

    gradients, outputs = jax.jit(jax.grad(loss, has_aux=True))(params)
    return outputs, gradients


def assert_same(actual, expected, within=2e-6):
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=within * np.abs(other).max())


@pytest.mark.parametrize(
    "changes", [{"loop": "unrolled"}, {"remat": True}, {"loop": "unrolled", "remat": True, "train": True}], ids=str
)
def test_loop_and_remat_change_nothing(changes):
    expected = outputs_and_gradients(train=changes.get("train", False))
    assert_same(outputs_and_gradients(**changes), expected, within=1e-5)


def test_layers_are_unrolled_on_gpus(monkeypatch):
    assert CONFIG.scanned
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not CONFIG.scanned
    assert dataclasses.replace(CONFIG, loop="scan").scanned


def test_attention_weights_are_the_same_scanned_and_unrolled():
    def weights(loop):
        tower = Transformer(dataclasses.replace(CONFIG, loop=loop), rngs=nnx.Rngs(0))
        return np.asarray(tower.attention_weights(TOKENS))

    scanned = weights("scan")
    assert scanned.shape == (2, 6, 2, 11, 11)
    np.testing.assert_allclose(scanned, weights("unrolled"), atol=1e-6)
    np.testing.assert_allclose(scanned.sum(axis=-1), 1, atol=1e-5)
    assert np.abs(scanned[0] - scanned[1]).max() > 1e-3  # layers differ


def test_dropout_follows_examples():
    tower = Transformer(CONFIG, rngs=nnx.Rngs(0))
    run = jax.jit(tower)
    whole = run(TOKENS, KEYS)
    halves = [run(TOKENS[part], DropoutKeys(KEYS.examples_B[part], KEYS.step)) for part in (slice(3), slice(3, 6))]
    assert_same(jnp.concatenate(halves), whole)
    # A dropped element is exactly zero, so a mask that moved would differ by far more than rounding:
    other = run(TOKENS, DropoutKeys(KEYS.examples_B[::-1], KEYS.step))
    assert np.abs(other - whole).max() > 0.1
    assert np.abs(run(TOKENS, DropoutKeys(KEYS.examples_B, jax.random.key(3))) - whole).max() > 1e-3


def test_dropout_of_frequencies_drops_whole_rows():
    dropped = np.asarray(_drop_frequencies(jnp.ones((400, 3)), 0.25, jax.random.key(0)))
    assert np.all((dropped == 0) | np.isclose(dropped, 1 / 0.75))
    assert np.all(dropped == dropped[:, :1])
    assert abs(np.mean(dropped == 0) - 0.25) < 0.08


@pytest.mark.parametrize("form", ["bidirectional", "released"])
def test_order_matters_through_positions_alone(form):
    """Without relative keys, permuting the tokens permutes the outputs; with them it does not."""
    tower = Transformer(dataclasses.replace(CONFIG, relative_form=form), rngs=nnx.Rngs(0))
    order = jax.random.permutation(jax.random.key(5), 11)
    difference = tower(TOKENS[:, order]) - tower(TOKENS)[:, order]
    assert np.abs(difference).max() > 1e-2
    tower.blocks.attention.relative_key.kernel[...] *= 0
    assert_same(tower(TOKENS[:, order]), tower(TOKENS)[:, order])


def test_examples_do_not_see_each_other():
    tower = Transformer(CONFIG, rngs=nnx.Rngs(0))
    gradient = jax.grad(lambda tokens: jnp.sum(tower(tokens)[2] ** 2))(TOKENS)
    assert np.all(gradient[jnp.array([0, 1, 3, 4, 5])] == 0)
    assert np.all(np.abs(gradient[2]).max(axis=-1) > 0)


def test_bfloat16_computes_in_bfloat16_and_keeps_float32_parameters():
    outputs, gradients = outputs_and_gradients(dtype="bfloat16")
    assert outputs.dtype == jnp.bfloat16
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(gradients))
    expected, _ = outputs_and_gradients()
    assert np.linalg.norm(outputs.astype(jnp.float32) - expected) < 0.02 * np.linalg.norm(expected)


def test_initial_scales():
    """Those of the released code; standard deviations within four standard errors."""
    config = ModelConfig(layers=4, heads=10, latent=16, slots=8, frames=25, outputs={"answer": 5})
    tower = Transformer(config, rngs=nnx.Rngs(0))
    blocks, width = tower.blocks, 180
    per_layer = 2 / math.sqrt(4)
    cut = 0.87962566  # standard deviation of a standard normal truncated at ±2
    kernels = {
        "query": (blocks.attention.query, math.sqrt(per_layer / width)),
        "key": (blocks.attention.key, math.sqrt(per_layer / width)),
        "value": (blocks.attention.value, math.sqrt(per_layer / width)),
        "relative_key": (blocks.attention.relative_key, math.sqrt(per_layer / width)),
        "expand": (blocks.mlp.expand, math.sqrt(per_layer / width)),
        "contract": (blocks.mlp.contract, math.sqrt(per_layer / 1024)),
        "output": (blocks.attention.output, cut / math.sqrt(width)),
        "projection": (tower.projection, math.sqrt(2 / 18)),
    }
    for name, (linear, deviation) in kernels.items():
        kernel = np.asarray(linear.kernel[...])
        error = deviation / math.sqrt(2 * kernel.size)
        assert abs(kernel.std() - deviation) < 4 * error, name
        assert abs(kernel.mean()) < 4 * deviation / math.sqrt(kernel.size), name
        assert np.abs(kernel).max() < 2.001 * deviation / cut, name
        assert linear.bias is None or np.all(linear.bias[...] == 0), name

    limit = math.sqrt(6 / (10 + 10 * 18))
    for bias in (blocks.attention.content_bias, blocks.attention.position_bias):
        values = np.asarray(bias[...])
        assert values.shape == (4, 10, 18)
        assert 0.98 * limit < np.abs(values).max() <= limit
        assert abs(values.std() - limit / math.sqrt(3)) < 0.05 * limit
    for norm in (blocks.attention_norm, blocks.mlp_norm):
        assert np.all(np.asarray(norm.scale) == 1)
        assert np.all(np.asarray(norm.bias) == 0)
    query = np.asarray(blocks.attention.query.kernel[...])
    assert abs(np.corrcoef(query[0].ravel(), query[1].ravel())[0, 1]) < 0.03  # layers are drawn independently
