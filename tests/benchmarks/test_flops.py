"""The formulas against XLA's own count, for programs that compute what the definition says and no more."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aloe.attention import relative, relative_attention
from aloe.attention.definition import sinusoids
from aloe.config import resolve
from aloe.perception import learned
from aloe.tasks.clevrer import task
from benchmarks import candidates, flops
from benchmarks.training import make_run, with_data
from benchmarks.workloads import acre, cater, clevrer, workload


def gathered(q_BxTxHxK, relative_ExHxK, offset=0):
    """Position logits with a key for each pair of tokens: no more products than the definition has."""
    tokens = q_BxTxHxK.shape[1]
    keys_PxHxK = jnp.einsum(
        "pe,ehk->phk", sinusoids(np.arange(1 - tokens, tokens), len(relative_ExHxK)), relative_ExHxK
    )
    distances = np.arange(tokens)[:, None] - np.arange(tokens)
    return jnp.einsum("bihk,ijhk->bhij", q_BxTxHxK, keys_PxHxK[distances + tokens - 1])


@pytest.fixture
def defined(monkeypatch):
    monkeypatch.setattr(relative, "relative_attention", candidates.differentiated(gathered))


def counted(function, *shapes):
    """XLA's count for a program that is only lowered and never run, so sizes may be large."""
    return jax.jit(function).lower(*shapes).cost_analysis()["flops"]


# With heads this large the elementwise work, which the formulas leave out, is below 1 %.
@pytest.mark.parametrize(("batch", "tokens", "heads", "size"), [(16, 128, 2, 2048), (8, 57, 3, 4096)])
def test_attention(defined, batch, tokens, heads, size):
    array = jax.ShapeDtypeStruct((batch, tokens, heads, size), jnp.float32)
    weights = jax.ShapeDtypeStruct((heads * size, heads, size), jnp.float32)
    bias = jax.ShapeDtypeStruct((heads, size), jnp.float32)

    def forward(*arrays):
        return relative_attention(*arrays)[0]

    def with_gradient(cotangent, *arrays):
        out, pull_back = jax.vjp(forward, *arrays)
        return out, pull_back(cotangent)

    arguments = (array, array, array, weights, bias, bias)
    sizes = batch, tokens, heads, size
    assert 1 <= counted(forward, *arguments) / flops.attention(*sizes) < 1.01
    assert 1 <= counted(with_gradient, array, *arguments) / flops.attention(*sizes, gradient=True) < 1.01


@pytest.fixture
def wide(monkeypatch):
    """Makes oracles encode latents of 510 numbers, for which attention's elementwise work is a small part."""

    def widened(oracle):
        class Wide(oracle):
            size = 510

            def encode(self, scene_indices):
                return (np.zeros((len(self.frame_numbers), self.slots, self.size), np.float32) for _ in scene_indices)

        return Wide

    for module in (acre, cater):
        monkeypatch.setattr(module, "Encoder", widened(module.Encoder))


FEW_FRAMES = {"cater": {"model.frames": "5"}, "clevrer": {"model.frames": "9"}, "clevr": {"perception.size": "32"}}


@pytest.mark.parametrize("auxiliary", ["0.01", "0.0"])
@pytest.mark.parametrize("name", ["acre", "cater", pytest.param("clevr", marks=pytest.mark.slow), "clevrer"])
def test_training_step(defined, wide, tmp_path, name, auxiliary):
    sizes = {"layers": 2, "heads": 4, "latent": 510, "hidden": 3000, "dropout": 0.0, "loop": "unrolled"}
    overrides = {f"model.{name}": str(value) for name, value in sizes.items()} | {"objective.weight": auxiliary}
    config = with_data(resolve(name, "paper", overrides | FEW_FRAMES.get(name, {})), tmp_path, videos=4)
    count = make_run(config, jax.devices()[:1]).lowered().cost_analysis()["flops"]
    # Not exactly 1: the input has no gradient, and the biases and the optimizer are elementwise work.
    assert 0.99 < count / workload(name).step_flops(config) < 1.01


@pytest.mark.parametrize("kind", ["superpixels", "masked_frames"])
@pytest.mark.parametrize("gradient", [False, True])
def test_perception(kind, gradient):
    """At a width where the elementwise work is small."""
    sizes = {"model.latent": "16", "model.frames": "2", "perception.width": "256", "perception.size": "32"}
    sizes |= {"model.slots": "16", "perception.blocks": "3"} if kind == "masked_frames" else {"perception.blocks": "3"}
    config = resolve("clevrer", kind, sizes)
    model, pixels = task.model_config(config), task.perception_config(config)
    graphdef, params = nnx.split(nnx.eval_shape(lambda: learned.make(pixels, model, rngs=nnx.Rngs(0))))
    seen = {"image": jax.ShapeDtypeStruct((3, 2, 32, 32, 3), jnp.uint8)}
    seen |= {"masks": jax.ShapeDtypeStruct((3, 2, 32, 32, 2), jnp.uint8)} if kind == "masked_frames" else {}

    def total(params, seen):
        return jnp.sum(nnx.merge(graphdef, params)(seen))

    count = counted(jax.grad(total) if gradient else total, params, seen)
    assert 1 <= count / flops.perception(3, pixels, model, gradient=gradient) < 1.01


def test_the_paper_s_step_is_22_tflop():
    assert clevrer.step_flops(resolve("clevrer", "paper", {})) == pytest.approx(21.9e12, rel=0.005)


def test_other_towers_have_no_count():
    assert clevrer.step_flops(resolve("clevrer", "lstm", {})) is None
