"""Attention by itself: throughput over the length of the sequence, every path, both forms, forward and gradient."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aloe.attention import FORMS, relative_attention
from benchmarks import flops
from benchmarks.options import Options
from benchmarks.paths import PATHS
from benchmarks.programs import cost, largest_that_fits
from benchmarks.results import Row, Tables
from benchmarks.timing import measure

TABLE = "attention"
# (T, H, K): ACRE, CLEVRER and CATER as they are, then CLEVRER's heads on longer videos.
SIZES = ((57, 10, 18), (233, 10, 18), (641, 8, 38), (641, 10, 18), (1024, 10, 18), (2048, 10, 18), (4096, 10, 18))
QUICK_SIZES = ((17, 2, 6),)
TOKENS = {"gpu": 1 << 17, "tpu": 1 << 15, "cpu": 1 << 12}  # in a batch, as far as they fit
QUICK_TOKENS = 128
DROPOUT = 0.1

FORWARD, GRADIENT, DROPPED = "forward", "forward + gradient", "forward + gradient, dropout"


def run(options: Options) -> Tables:
    return {TABLE: list(rows(options))}


def rows(options: Options) -> Iterator[Row]:
    device = jax.devices()[0]
    for tokens, heads, size in QUICK_SIZES if options.quick else SIZES:
        if options.lengths and tokens not in options.lengths:
            continue
        largest = max(1, (QUICK_TOKENS if options.quick else TOKENS[device.platform]) // tokens)
        for form in FORMS:
            for path in options.paths or PATHS:
                for work in (FORWARD, GRADIENT, DROPPED)[: 3 if form == FORMS[0] else 2]:  # dropout is that of any form
                    yield measured((tokens, heads, size), form, path, work, largest, device, options.repeats)


def measured(
    shape: tuple[int, int, int], form: str, path: str, work: str, largest: int, device: jax.Device, repeats: int
) -> Row:
    """Times one case at the largest batch, of `largest` and its halves, that fits."""
    tokens, heads, size = shape
    dtype = jnp.dtype("float32" if device.platform == "cpu" else "bfloat16")

    def compiled_for(batch: int) -> jax.stages.Compiled:
        with PATHS[path]():
            return jax.jit(function(form, work)).lower(*arguments(batch, *shape, dtype, abstract=True)).compile()

    batch, compiled = largest_that_fits(compiled_for, largest, device)
    given = arguments(batch, *shape, dtype)
    timing = measure(lambda: compiled(*given), repeats=repeats)
    said = cost(compiled)
    passes = 1 if work == FORWARD else flops.FORWARD_AND_BACKWARD
    case: dict[str, str | int] = {"T": tokens, "H×K": f"{heads}×{size}", "form": form, "path": path, "work": work}
    return Row(
        case | {"batch": batch, "dtype": dtype.name},
        timing,
        passes * flops.attention(batch, tokens, heads, size),
        {
            "tokens_per_second": batch * tokens / timing.median,
            "accessed_bytes": said.accessed_bytes,
            "temporary_bytes": said.temporary_bytes,
        },
    )


def function(form: str, work: str) -> Callable[..., Any]:
    """Of the arguments: the output, or also the gradient of a product with it by all that has one."""

    def forward(keys_B: jax.Array, *arrays: jax.Array) -> jax.Array:
        dropout = (DROPOUT, keys_B) if work == DROPPED else None
        return relative_attention(*arrays, form=form, dropout=dropout)[0]

    def gradient(keys_B: jax.Array, cotangent: jax.Array, *arrays: jax.Array) -> Any:
        out, pull_back = jax.vjp(lambda *arrays: forward(keys_B, *arrays), *arrays)
        return out, pull_back(cotangent)

    return (lambda keys, _, *arrays: forward(keys, *arrays)) if work == FORWARD else gradient


def arguments(
    batch: int, tokens: int, heads: int, size: int, dtype: jnp.dtype, *, abstract: bool = False
) -> tuple[jax.Array, ...]:
    """Keys of dropout, a cotangent, then those of `relative_attention`; or what tells their shapes and types.

    The weights of positions and the biases are float32, as a model's parameters are.
    """
    width = heads * size

    def drawn() -> tuple[jax.Array, ...]:
        keys = jax.random.split(jax.random.key(0), 7)
        activations = [jax.random.normal(key, (batch, tokens, heads, size), dtype) for key in keys[:4]]
        relative = jax.random.normal(keys[4], (width, heads, size)) * np.sqrt(2 / width)
        biases = [0.2 * jax.random.normal(key, (heads, size)) for key in keys[5:]]
        return (jax.random.split(jax.random.key(1), batch), *activations, relative, *biases)

    return jax.eval_shape(drawn) if abstract else jax.block_until_ready(jax.jit(drawn)())
