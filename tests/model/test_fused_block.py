"""The fused block against the plain one, and its lowering for GPUs."""

import dataclasses
import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from clu.metrics import Average
from flax import nnx
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from aloe.attention.dropout import DropoutKeys
from aloe.model import transformer
from aloe.model.block import Block, Site
from aloe.model.config import ModelConfig
from aloe.model.fused_block import FusedBlock, chosen_block
from aloe.model.transformer import Transformer
from aloe.training.state import initial_state
from aloe.training.step import DATA, train_step
from tests.attention.cases import KERNELS, distance, gpu_mesh, lowered_for_a_gpu, needs_two_devices

CONFIG = ModelConfig(
    layers=2, heads=2, latent=6, slots=3, frames=4, outputs={"answer": 5}, hidden=40, dtype="float32", dropout=0.3
)
WIDTHS = {32: (2, 14), 52: (2, 24), 180: (10, 16), 304: (8, 36)}  # heads, latent size
BATCH = 4


class Fused(FusedBlock):
    path = KERNELS


def config_of(width, dtype="float32"):
    heads, latent = WIDTHS[width]
    return dataclasses.replace(CONFIG, heads=heads, latent=latent, hidden=200, dtype=dtype)


def parameters_of(config, draw=0):
    """Initial parameters, perturbed so that biases and scales matter too."""
    graphdef, params = nnx.split(Block(config, rngs=nnx.Rngs(0)), nnx.Param)
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(1), draw), len(leaves))
    moved = [x + 0.1 * jax.random.normal(key, x.shape) for x, key in zip(leaves, keys, strict=True)]
    return graphdef, jax.tree.unflatten(structure, moved)


@functools.cache
def program(kind, config, tokens, train):
    """The compiled function (params, x, cotangent, keys) → (gradients of output · cotangent, output)."""
    graphdef, _ = nnx.split(kind(config, rngs=nnx.Rngs(0)), nnx.Param)

    def product(params, x, cotangent, keys):
        out, weights = nnx.merge(graphdef, params)(x.astype(config.compute_dtype), keys if train else None, False)
        assert weights is None
        return jnp.sum(out * cotangent), out

    return jax.jit(jax.grad(product, (0, 1), has_aux=True))


@functools.cache
def values_and_gradients(kind, config, tokens, train, draw=0):
    """The block's output, and gradients of its product with a cotangent: of x, and of every parameter by its path."""
    _, params = parameters_of(config, draw)
    of_draw = jax.random.fold_in(jax.random.key(2), draw)
    x, cotangent = jax.random.normal(of_draw, (2, BATCH, tokens, config.width))
    keys = DropoutKeys(jax.random.split(jax.random.key(3), BATCH), jax.random.key(4)).split(len(Site))
    (of_params, of_x), out = program(kind, config, tokens, train)(params, x, cotangent, keys)
    named = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(of_params)}
    assert out.dtype == config.compute_dtype
    return {name: np.asarray(value, np.float64) for name, value in {"out": out, "x": of_x, **named}.items()}


@pytest.mark.parametrize(
    ("width", "tokens", "train"), [(180, 57, True), (32, 33, False), (304, 21, True), (52, 9, True)]
)
def test_is_the_plain_block(width, tokens, train):
    found = values_and_gradients(Fused, config_of(width), tokens, train)
    expected = values_and_gradients(Block, config_of(width), tokens, train)
    assert len(found) == 2 + 16  # a block has 16 parameters
    for name, value in expected.items():
        assert distance(found[name], value) < 5e-6, name


@pytest.mark.parametrize(("width", "tokens", "draws"), [(180, 57, 2), (304, 21, 4), (52, 57, 8)])
def test_bfloat16_rounds_no_worse_than_the_plain_block(width, tokens, draws):
    """Errors relative to the plain block in float32, whose own error is a ten-thousandth of these.

    Rounding affects gradients mostly by changing the sign of some ReLUs' inputs: in a draw of few tokens, one block may
    by chance have up to five times the other's error. So gradients are compared by the geometric mean of many ratios.
    """
    exact, plain = config_of(width), config_of(width, "bfloat16")
    ratios = {}
    for draw in range(draws):
        expected = values_and_gradients(Block, exact, tokens, True, draw)
        rounded = [values_and_gradients(kind, plain, tokens, True, draw) for kind in (Fused, Block)]
        for name, value in expected.items():
            fused_error, plain_error = (distance(each[name], value) for each in rounded)
            ratios.setdefault(name, []).append(fused_error / plain_error)
    assert max(ratios.pop("out")) < 1.1
    assert np.exp(np.mean(np.log(list(ratios.values())))) < 1.2


def test_parameters_are_the_plain_blocks():
    plain, fused = (nnx.state(kind(CONFIG, rngs=nnx.Rngs(0)), nnx.Param) for kind in (Block, FusedBlock))
    jax.tree.map(np.testing.assert_array_equal, plain, fused)


def test_attention_weights_are_the_plain_blocks():
    x = jax.random.normal(jax.random.key(0), (2, 5, CONFIG.width))
    plain, fused = (kind(CONFIG, rngs=nnx.Rngs(0))(x, None, True) for kind in (Block, FusedBlock))
    jax.tree.map(np.testing.assert_array_equal, plain, fused)


def tower_outputs_and_gradients(kind, monkeypatch, **changes):
    monkeypatch.setattr(transformer, "chosen_block", lambda *_: kind)
    tower = Transformer(dataclasses.replace(CONFIG, **changes), rngs=nnx.Rngs(0))
    assert type(tower.blocks) is kind
    graphdef, params = nnx.split(tower, nnx.Param)
    tokens = jax.random.normal(jax.random.key(0), (6, 11, 8))
    keys = DropoutKeys(jax.random.split(jax.random.key(1), 6), jax.random.key(2))

    def loss(params):
        outputs = nnx.merge(graphdef, params)(tokens, keys)
        return jnp.sum(jnp.sin(outputs)), outputs

    return jax.jit(jax.grad(loss, has_aux=True))(params)


@pytest.mark.parametrize(
    "changes", [{"loop": "scan"}, {"loop": "unrolled"}, {"loop": "unrolled", "remat": True}], ids=str
)
def test_tower_of_fused_blocks_scanned_unrolled_and_with_remat(changes, monkeypatch):
    expected = tower_outputs_and_gradients(Block, monkeypatch)
    found = tower_outputs_and_gradients(Fused, monkeypatch, **changes)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-5 * np.abs(other).max())


@needs_two_devices
def test_two_devices_compute_what_one_does():
    """Without check_vma, because loads in interpreted kernels do not support varying axes (JAX 0.10 and 0.11)."""
    _, params = parameters_of(CONFIG)
    graphdef, _ = nnx.split(Fused(CONFIG, rngs=nnx.Rngs(0)), nnx.Param)
    x = jax.random.normal(jax.random.key(2), (BATCH, 21, CONFIG.width))
    keys_B = jax.random.split(jax.random.key(3), BATCH)

    def gradients(params, x, keys_B):
        keys = DropoutKeys(keys_B, jax.random.key(4)).split(len(Site))
        return jax.grad(lambda p, x: jnp.sum(jnp.sin(nnx.merge(graphdef, p)(x, keys, False)[0])), (0, 1))(params, x)

    def shard_gradients(params, x, keys_B):
        of_params, of_x = gradients(params, x, keys_B)
        return jax.lax.psum(of_params, DATA), of_x

    mesh = jax.make_mesh((2,), (DATA,), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])
    specs = {"in_specs": (P(), P(DATA), P(DATA)), "out_specs": (P(), P(DATA))}
    sharded = jax.jit(jax.shard_map(shard_gradients, mesh=mesh, check_vma=False, **specs))
    for one, other in zip(
        jax.tree.leaves(sharded(params, x, keys_B)), jax.tree.leaves(jax.jit(gradients)(params, x, keys_B)), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * np.abs(other).max())


class Sequences:
    """The parts of a task that the step needs; the loss is the mean square of a tower's outputs."""

    def __init__(self, config):
        self.config, self.loss_weights = config, {"square": 1.0}

    def model(self, rngs):
        return Transformer(self.config, rngs=rngs)

    def counts(self, batch):
        return {"square": jnp.float32(batch["only"]["tokens"].size)}

    def parts(self, model, batch, keys, step_key):
        outputs = model(batch["only"]["tokens"], DropoutKeys(keys["only"], step_key))
        return {"square": Average.from_model_output(outputs.astype(jnp.float32) ** 2)}


@pytest.mark.parametrize(
    "changes", [{"loop": "scan"}, {"loop": "unrolled"}, {"loop": "unrolled", "remat": True}], ids=str
)
def test_training_step_lowers_for_gpus_inside_shard_map_that_checks_what_varies(changes, monkeypatch):
    monkeypatch.setattr(transformer, "chosen_block", lambda *_: FusedBlock)
    task = Sequences(dataclasses.replace(config_of(180, "bfloat16"), **changes))
    model, optimizer = task.model(nnx.Rngs(0)), optax.adam(1e-3)
    step = train_step(task, nnx.split(model, nnx.Param)[0], optimizer, gpu_mesh(data=2), seed=0)
    batch = {"only": {"tokens": jax.ShapeDtypeStruct((4, 33, 18), jnp.float32)}}
    lowered = lowered_for_a_gpu(step, initial_state(model, optimizer), batch)
    for kernel in ("residual_sum", "residual_gradient", "feed_forward_gradient", "attention_keys_gradient"):
        assert kernel in lowered


@pytest.mark.parametrize(
    ("platform", "changes", "expected"),
    [
        ("gpu", {"dtype": "bfloat16"}, FusedBlock),
        ("gpu", {}, Block),
        ("gpu", {"dtype": "bfloat16", "relative_form": "released"}, Block),
        ("gpu", {"dtype": "bfloat16", "latent": 200}, Block),
        ("cpu", {"dtype": "bfloat16"}, Block),
        ("tpu", {"dtype": "bfloat16"}, Block),
    ],
)
def test_block_is_chosen_by_device_type_and_sizes(platform, changes, expected, monkeypatch):
    device = types.SimpleNamespace(platform=platform, compute_capability="9.0")
    monkeypatch.setattr(jax, "devices", lambda: [device])
    assert chosen_block(dataclasses.replace(CONFIG, **changes), CONFIG.tokens) is expected
