"""Attention with positions as dot products, by Pallas kernels for NVIDIA GPUs, with their gradient.

What waits for the gradient is the output and one number a query, beside the arguments, so memory is linear in T.

Arrays are [B, T, H, width], as projections give them, and may be wider than what counts of them. A tile has zeros where
it leaves an array. Keys beyond T have no weight because the last feature says so: it is 0 for every token and `BEYOND`
after them, and the last coefficient of every query is 1.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from aloe.attention import kernels
from aloe.attention.kernels import Numbers, Rows, Tile

BEYOND = -3e4  # 2 to this is 0, and bfloat16 and products of it are finite
LARGEST_TILE = 128  # tokens


class Tiles(NamedTuple):
    """Of the kernels for the forward pass, the gradient of queries, and that of keys and values."""

    forward: Tile
    queries: Tile
    keys: Tile


class Settings(NamedTuple):
    """What is fixed when a program is traced.

    Attributes:
      size: K; of queries, keys and values no more lanes count.
      rate: of dropout of the attention weights; 0 for none.
      tiles: see `default_tiles`.
      interpret: runs the kernels as plain XLA, on any device, for tests.
    """

    size: int
    rate: float
    tiles: Tiles
    interpret: bool = False


def default_tiles(size: int, features: int, dtype: jnp.dtype) -> Tiles:
    """The fastest tiles known for heads of K = `size` and R = `features`; in bfloat16 found on an H200."""
    if jnp.dtype(dtype).itemsize > 2:
        return Tiles(Tile(32, 32, 4, 2), Tile(32, 32, 4, 2), Tile(32, 32, 4, 2))
    if size <= 32 and features <= 64:
        return Tiles(Tile(128, 64, 4, 3), Tile(64, 64, 4, 3), Tile(64, 64, 4, 3))
    warps = 4 if features <= 128 else 8  # sums of 64 rows must fit the registers
    return Tiles(Tile(128, 64, 8, 2), Tile(64, 64, warps, 2), Tile(32, 64, 4, 2))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def attend(
    settings: Settings,
    q_BxTxHxP: jax.Array,
    k_BxTxHxP: jax.Array,
    v_BxTxHxP: jax.Array,
    coefficients_BxTxHxR: jax.Array,
    features_SxR: jax.Array,
    words: tuple[jax.Array, jax.Array] | None,
) -> jax.Array:
    """softmax(ln 2 · (q · k + coefficients · features)) · v, with dropout: [B, T, H, P] like v.

    Args:
      settings: see there.
      q_BxTxHxP, k_BxTxHxP, v_BxTxHxP: of one type; P is K or more, for each its own; lanes after K of k and v are 0.
      coefficients_BxTxHxR: of the same type; the last of R is 1.
      features_SxR: of the same type, S a multiple of LARGEST_TILE that is T or more; the last of R is 0 up to T, and
        BEYOND from there. No gradient reaches them.
      words: `dropout.mask_words` of the mask [B, H, T, T]; None where the rate is 0.
    """
    return _forward(settings, q_BxTxHxP, k_BxTxHxP, v_BxTxHxP, coefficients_BxTxHxR, features_SxR, words)[0]


def _attend_forward(settings: Settings, *arguments: Any) -> tuple[jax.Array, tuple]:
    out_BxTxHxP, lse_BxHxT = _forward(settings, *arguments)
    return out_BxTxHxP, (*arguments, out_BxTxHxP, lse_BxHxT)


def _attend_backward(settings: Settings, saved: tuple, slope_BxTxHxP: jax.Array) -> tuple:
    *arguments, out, lse = saved
    q, k, v, coefficients, _, _ = arguments
    arrays = {"do": slope_BxTxHxP, "lse": lse}
    dq, da, delta = _run(
        kernels.queries_gradient,
        settings,
        settings.tiles.queries,
        arguments,
        {**arrays, "out": out},
        {"dq": q, "da": coefficients, "delta": lse},
    )
    dk, dv = _run(
        kernels.keys_gradient,
        settings,
        settings.tiles.keys,
        arguments,
        {**arrays, "delta": delta},
        {"dk": k, "dv": v},
    )
    return dq, dk, dv, da, None, None


attend.defvjp(_attend_forward, _attend_backward)


def _forward(settings: Settings, *arguments: Any) -> tuple[jax.Array, jax.Array]:
    """The output, like v, and log2 of the sum of 2^logits, [B, H, T]."""
    q, _, v, *_ = arguments
    batch, tokens, heads, _ = q.shape
    outputs = {"out": v, "lse": jax.ShapeDtypeStruct((batch, heads, tokens), jnp.float32)}
    out, lse = _run(kernels.forward, settings, settings.tiles.forward, arguments, {}, outputs)
    return out, lse


def _run(
    kernel: Callable[..., None],
    settings: Settings,
    tile: Tile,
    arguments: Any,
    others: dict[str, jax.Array],
    outputs: dict[str, Any],
) -> list[jax.Array]:
    """Runs a kernel for all blocks, heads and examples.

    Args:
      kernel: one of `kernels`.
      settings, tile: see there.
      arguments: of `attend`.
      others: the kernel's other inputs, by name.
      outputs: by name, arrays whose shape and type those of the results are.
    """
    q, k, v, coefficients, features, words = arguments
    inputs = {"q": q, "k": k, "v": v, "a": coefficients, "f": features, **others}
    if words is not None:
        inputs["row_words"], inputs["column_words"] = words
    batch, tokens, heads, _ = q.shape
    slots, width = features.shape

    def pieces(name: str) -> list[int]:
        return tile.pieces(width if name in ("a", "da", "f") else settings.size)

    def spec(name: str, array: Any) -> pl.BlockSpec:
        if name == "f":
            return pl.BlockSpec((slots, sum(pieces(name))), lambda i, h, b: (0, 0))
        if array.ndim == 3:
            return pl.BlockSpec((None, None, slots), lambda i, h, b: (b, h, 0))
        return pl.BlockSpec((None, slots, None, sum(pieces(name))), lambda i, h, b: (b, 0, h, 0))

    def view(name: str, array: Any, ref: Any) -> Rows | Numbers:
        if array.ndim == 3:
            return Numbers(ref, tokens)
        return Rows(ref, slots if name == "f" else tokens, array.shape[-1], pieces(name))

    arrays = {**inputs, **outputs}
    own, other = (tile.keys, tile.queries) if kernel is kernels.keys_gradient else (tile.queries, tile.keys)

    def program(*refs: Any) -> None:
        views = {name: view(name, array, ref) for (name, array), ref in zip(arrays.items(), refs, strict=True)}
        kernel(settings.rate, tile, pl.cdiv(tokens, other), **views)

    def written(name: str, array: Any) -> jax.ShapeDtypeStruct:
        """What of an array the tiles reach."""
        last = min(array.shape[-1], tokens if array.ndim == 3 else sum(pieces(name)))
        varying = jax.typeof(q).manual_axis_type  # over which axes of a mesh, inside shard_map
        return jax.ShapeDtypeStruct((*array.shape[:-1], last), array.dtype, manual_axis_type=varying)

    # The first axis of the grid runs fastest, so that programs that share keys and values follow each other.
    results = pl.pallas_call(
        program,
        grid=(pl.cdiv(tokens, own), heads, batch),
        in_specs=[spec(*item) for item in inputs.items()],
        out_specs=[spec(*item) for item in outputs.items()],
        out_shape=[written(*item) for item in outputs.items()],
        compiler_params=triton.CompilerParams(num_warps=tile.warps, num_stages=tile.stages),
        interpret=settings.interpret,
        name=f"attention_{kernel.__name__}",
    )(*inputs.values())
    return [_widened(result, like.shape[-1]) for result, like in zip(results, outputs.values(), strict=True)]


def _widened(array: jax.Array, width: int) -> jax.Array:
    """With zeros after what there is of its last axis."""
    return jnp.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, width - array.shape[-1])])
