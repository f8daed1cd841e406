"""Attention with positions as dot products, by Pallas kernels for NVIDIA GPUs, with their gradient.

What waits for the gradient is the output and one number a query, beside the arguments, so memory is linear in T.

Arrays are [B, T, H, width], as projections give them, and may be wider than what counts of them. Tiles have powers of
two as their sides, and zeros where they leave the array. Keys beyond T have no weight because the last feature says so:
it is 0 for every token and `BEYOND` after them, and the last coefficient of every query is 1.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from aloe.attention import kernels
from aloe.attention.kernels import Tile, Tiles, Window

BEYOND = -3e4  # 2 to this is 0, and bfloat16 and products of it are finite
LARGEST_TILE = 128  # tokens


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
    """The fastest tiles known for heads of K = `size` and R = `features`, found on an H200."""
    if jnp.dtype(dtype).itemsize > 2:
        return Tiles(Tile(64, 32, 4, 2), Tile(32, 32, 4, 2), Tile(32, 32, 4, 2))
    if _side(size) + _side(features) <= 96:
        return Tiles(Tile(128, 64, 4, 3), Tile(64, 64, 4, 3), Tile(64, 64, 4, 3))
    return Tiles(Tile(128, 64, 8, 2), Tile(64, 64, 4, 2), Tile(32, 64, 4, 2))


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


def _attend_backward(settings: Settings, saved: tuple, gradient_BxTxHxP: jax.Array) -> tuple:
    q, k, v, coefficients, features, words, out, lse = saved
    call = functools.partial(_call, settings, q=q, k=k, v=v, a=coefficients, f=features, words=words, lse=lse)
    dq, da, delta = call(
        kernels.queries_gradient,
        settings.tiles.queries,
        settings.tiles.queries.queries,
        out=out,
        do=gradient_BxTxHxP,
        outputs={"dq": q, "da": coefficients, "delta": lse},
    )
    dk, dv = call(
        kernels.keys_gradient,
        settings.tiles.keys,
        settings.tiles.keys.keys,
        do=gradient_BxTxHxP,
        delta=delta,
        outputs={"dk": k, "dv": v},
    )
    return dq, dk, dv, da, None, None


attend.defvjp(_attend_forward, _attend_backward)


def _forward(
    settings: Settings,
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    coefficients: jax.Array,
    features: jax.Array,
    words: tuple[jax.Array, jax.Array] | None,
) -> tuple[jax.Array, jax.Array]:
    """The output, like v, and log2 of the sum of 2^logits, [B, H, T]."""
    batch, tokens, heads, _ = q.shape
    outputs = {"out": v, "lse": jax.ShapeDtypeStruct((batch, heads, tokens), jnp.float32)}
    tile = settings.tiles.forward
    arrays = {"q": q, "k": k, "v": v, "a": coefficients, "f": features}
    out, lse = _call(settings, kernels.forward, tile, tile.queries, words=words, outputs=outputs, **arrays)
    return out, lse


def _call(
    settings: Settings,
    kernel: Callable[..., None],
    tile: Tile,
    block: int,
    *,
    words: tuple[jax.Array, jax.Array] | None,
    outputs: dict[str, Any],
    **inputs: jax.Array,
) -> list[jax.Array]:
    """Runs a kernel for all examples, heads and blocks of so many tokens; `outputs` are like the arrays given."""
    if words is not None:
        inputs["rows"], inputs["columns"] = words
    batch, tokens, heads, _ = inputs["q"].shape
    slots = inputs["f"].shape[0]
    sides = {
        name: _side(inputs["f"].shape[-1] if name in ("a", "da", "f") else settings.size)
        for name in (*inputs, *outputs)
    }

    def spec(name: str, array: Any) -> pl.BlockSpec:
        if name == "f":
            return pl.BlockSpec((slots, sides[name]), lambda i, h, b: (0, 0))
        if array.ndim == 3:
            return pl.BlockSpec((None, None, slots), lambda i, h, b: (b, h, 0))
        return pl.BlockSpec((None, slots, None, sides[name]), lambda i, h, b: (b, 0, h, 0))

    def window(name: str, array: Any, ref: Any) -> Window:
        if name == "f":
            return Window(ref, slots, array.shape[-1])
        return Window(ref, tokens, None if array.ndim == 3 else min(array.shape[-1], sides[name]))

    other_side = tile.keys if block == tile.queries else tile.queries
    mat = jax.typeof(inputs["q"]).manual_axis_type
    both = {**inputs, **outputs}

    def body(*refs: Any) -> None:
        windows = {name: window(name, both[name], ref) for name, ref in zip(both, refs, strict=True)}
        kernel(settings.rate, tile, pl.cdiv(tokens, other_side), **windows)

    # The first axis of the grid runs fastest: programs that share keys and values follow each other.
    return pl.pallas_call(
        body,
        grid=(pl.cdiv(tokens, block), heads, batch),
        in_specs=[spec(name, array) for name, array in inputs.items()],
        out_specs=[spec(name, array) for name, array in outputs.items()],
        out_shape=[jax.ShapeDtypeStruct(x.shape, x.dtype, manual_axis_type=mat) for x in outputs.values()],
        compiler_params=triton.CompilerParams(num_warps=tile.warps, num_stages=tile.stages),
        interpret=settings.interpret,
        name=f"attention_{kernel.__name__}",
    )(*inputs.values())


def _side(width: int) -> int:
    """Of a tile: a power of two, and what the matrix units take."""
    return max(16, 1 << (width - 1).bit_length())
