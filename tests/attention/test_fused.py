"""The kernels against the definition, also at lengths and widths that are not multiples of a tile's sides."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from aloe.attention import fused, relative_attention
from aloe.attention.attend import LARGEST_TILE, Tiles
from aloe.attention.tiles import Tile
from tests.attention.cases import (
    KERNELS,
    defined,
    distance,
    draw,
    dropout_for,
    exact_value_and_gradients,
    gpu_mesh,
    lowered_for_a_gpu,
    needs_two_devices,
    value_and_gradients,
    worst,
)

RATE = 0.3
# Tokens, heads, head size, dropout rate and encoding width: the tasks' sizes, which take minutes where kernels are
# interpreted, and the longest sequences measured.
TASKS = [(233, 10, 18, RATE, 180), (641, 8, 38, RATE, 304), (1025, 2, 38, 0, 76)]
LONGEST = [(2049, 2, 38, RATE, 304), (4096, 2, 18, RATE, 180), (4096, 1, 38, RATE, 304)]


@pytest.mark.parametrize(
    ("tokens", "heads", "size", "rate"),
    [(57, 2, 18, 0), (65, 2, 7, RATE), (130, 1, 38, RATE), (64, 1, 32, 0), (1, 2, 2, RATE)],
)
def test_is_the_definition(tokens, heads, size, rate):
    """Output and gradients in float32; the gradients also along a random direction, by central differences."""
    arguments, cotangent = draw(tokens, heads, size)
    dropout = dropout_for(2, rate)
    exactly = defined(dropout, tokens, heads)
    out, gradients = value_and_gradients(arguments, cotangent, jnp.float32, path=KERNELS, dropout=dropout)
    assert worst(out, exactly(*arguments)[0]) < 3e-6

    rng = np.random.default_rng(1)
    directions = [rng.standard_normal(gradient.shape) for gradient in gradients]
    ends = [[x + step * d for x, d in zip(arguments, directions, strict=True)] for step in (1e-5, -1e-5)]
    slope = np.sum((exactly(*ends[0])[0] - exactly(*ends[1])[0]) * cotangent) / 2e-5
    found = sum(np.sum(gradient * d) for gradient, d in zip(gradients, directions, strict=True))
    scale = np.sqrt(sum(np.sum(gradient**2) for gradient in gradients))
    assert abs(found - slope) < 1e-5 * scale

    exact = exact_value_and_gradients(arguments, cotangent, dropout=dropout)[1]
    # With one token, all gradients but that of v cancel to zero; fused multiply-adds leave the terms' rounding errors.
    least = (0.1 if tokens == 1 else 1e-2) * scale
    for gradient, expected in zip(gradients, exact, strict=True):
        assert np.abs(gradient - expected).max() < 1e-5 * max(np.abs(expected).max(), least)


@pytest.mark.parametrize(
    ("tokens", "heads", "size", "rate", "width"),
    [
        *[(57, 2, 18, RATE, 36), (65, 2, 7, 0, 14), (130, 1, 38, RATE, 38), (400, 1, 18, RATE, 1024)],
        *(TASKS + LONGEST if KERNELS == "kernels" else []),
    ],
)
def test_bfloat16_rounds_about_as_plain_xla_does(tokens, heads, size, rate, width):
    arguments, cotangent = draw(tokens, heads, size, width=width)
    dropout = dropout_for(2, rate)
    exact_out, exact_gradients = exact_value_and_gradients(arguments, cotangent, dropout=dropout)
    errors = {}
    for path in ("xla", KERNELS):
        out, gradients = value_and_gradients(arguments, cotangent, jnp.bfloat16, path=path, dropout=dropout)
        errors[path] = np.array([distance(out, exact_out), *map(distance, gradients, exact_gradients)])
    assert errors[KERNELS].max() < 0.02
    assert np.all(errors[KERNELS] < np.maximum(1.75 * errors["xla"], 0.01))


@pytest.mark.parametrize(
    ("tile", "tokens", "batch"),
    [(Tile(LARGEST_TILE, 16, 4, 1), 90, 1), (Tile(16, 32, 4, 2, split=True), 90, 1), (Tile(16, 16, 4, 1), 9, 35)],
)
def test_tiles_change_nothing(tile, tokens, batch):
    """Nor does it matter whether a width, here 38, is rounded up to a power of two or split into several.

    A tile's rows are tokens, or examples in the gradient of the coefficients.
    """
    arguments, cotangent = draw(tokens, heads=1, size=38, batch=batch)
    dropout = dropout_for(batch, RATE)

    def tiled(*arguments, dropout):
        return fused.relative_attention(
            *arguments, dropout=dropout, interpret=KERNELS == "interpreted", tiles=Tiles(*[tile] * 4)
        ), None

    out, gradients = value_and_gradients(arguments, cotangent, jnp.float32, attention=tiled, dropout=dropout)
    exact_out, exact_gradients = exact_value_and_gradients(arguments, cotangent, dropout=dropout)
    assert worst(out, exact_out) < 3e-6
    assert max(map(worst, gradients, exact_gradients)) < 1e-5


def gradients_over_devices(path, mesh, check_vma):
    """(weights, q, k, v, cotangent, keys) → gradients of weights and of q: sharded by examples, and on one device."""

    def loss(weights, q, k, v, cotangent, keys):
        out, _ = relative_attention(q, k, v, *weights, dropout=(RATE, keys), path=path)
        return jnp.sum(out * cotangent)

    def gradients(weights, *examples):
        if check_vma:  # as the training step does
            weights = jax.tree.map(lambda x: jax.lax.pcast(x, "data", to="varying"), weights)
        of_weights, of_q = jax.grad(loss, (0, 1))(weights, *examples)
        return jax.lax.psum(of_weights, "data"), of_q

    specs = {"in_specs": (P(), *[P("data")] * 5), "out_specs": (P(), P("data"))}
    return jax.jit(jax.shard_map(gradients, mesh=mesh, check_vma=check_vma, **specs)), jax.jit(jax.grad(loss, (0, 1)))


@needs_two_devices
def test_two_devices_compute_what_one_does():
    """Without check_vma, because loads in interpreted kernels do not support varying axes (JAX 0.10 and 0.11)."""
    (q, k, v, *weights), cotangent = draw(tokens=33, heads=2, size=6, batch=4)
    examples = [jnp.asarray(x, jnp.float32) for x in (q, k, v, cotangent)]
    weights = [jnp.asarray(x, jnp.float32) for x in weights]
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])
    together, alone = gradients_over_devices(KERNELS, mesh, check_vma=False)
    arguments = (weights, *examples, jax.random.split(jax.random.key(0), 4))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), together(*arguments), alone(*arguments)
    )


@pytest.mark.parametrize(
    ("tokens", "heads", "size", "dtype", "rate"),
    [
        (233, 10, 18, jnp.bfloat16, RATE),
        (641, 8, 38, jnp.bfloat16, RATE),
        (57, 8, 38, jnp.bfloat16, 0),
        (65, 2, 7, jnp.float32, RATE),
        (130, 2, 128, jnp.float32, 0),
        (4096, 4, 38, jnp.bfloat16, 0),
    ],
)
def test_kernels_lower_to_triton(tokens, heads, size, dtype, rate):
    width = heads * size
    shapes = [jax.ShapeDtypeStruct((4, tokens, heads, size), dtype)] * 3
    shapes += [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((width, heads, size), *[(heads, size)] * 2)]
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 4))

    def forward_and_backward(*arguments):
        *arguments, keys = arguments
        attention = functools.partial(relative_attention, dropout=(rate, keys) if rate else None, path="kernels")
        out, pull = jax.vjp(lambda *arguments: attention(*arguments)[0], *arguments)
        return pull(out)

    lowered = lowered_for_a_gpu(forward_and_backward, *shapes, keys)
    for kernel in ("forward", "queries_gradient", "keys_gradient", "coefficients_gradient"):
        assert lowered.count(f"attention_{kernel}") >= 1


def test_kernels_lower_inside_shard_map_that_checks_what_varies():
    (q, k, v, *weights), cotangent = draw(tokens=33, heads=2, size=6, batch=4)
    keys = jax.random.split(jax.random.key(0), 4)
    arguments = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), (weights, q, k, v, cotangent))
    sharded, _ = gradients_over_devices("kernels", gpu_mesh(data=2), check_vma=True)
    assert "attention_keys_gradient" in lowered_for_a_gpu(sharded, *arguments, keys)


def test_float32_means_float32_in_every_product_also_where_the_gradient_is_traced_elsewhere():
    arguments = [jnp.asarray(argument, jnp.float32) for argument in draw(5, 2, 4)[0]]

    def product(*arguments):
        with jax.default_matmul_precision("highest"):  # as our models set it
            return jnp.sum(relative_attention(*arguments, path="interpreted")[0] ** 2)

    lowered = jax.jit(jax.grad(jax.jit(product), range(6))).lower(*arguments).as_text()
    products = [line for line in lowered.splitlines() if "stablehlo.dot_general" in line]
    assert len(products) > 10
    assert [line for line in products if "precision = [HIGHEST, HIGHEST]" not in line] == []
