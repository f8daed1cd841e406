"""Attention with positions as dot products, in Pallas kernels for NVIDIA GPUs, with their gradient.

Saved for the backward pass: the output and one number per query, besides the arguments and R coefficients per query, so
memory is linear in T, except for the slow growth of R.

Arrays are [B, T, H, width], as projections produce them, and may be wider than the part that is used. Where a tile
extends past an array, it reads zeros; where it ends before the array does, zeros are written. Keys beyond T get zero
weight through the last feature: it is 0 for every token and `BEYOND` after them, and the last coefficient of every
query is 1.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from aloe.attention import kernels
from aloe.attention.precision import precision_of
from aloe.attention.tiles import Numbers, Rows, Tile, of_program, reach

BEYOND = -3e4  # 2 to this power is 0, and in bfloat16 it and its products are finite
LARGEST_TILE = 128  # tokens


class Tiles(NamedTuple):
    """Tiles of the kernels for the forward pass, the gradients of queries, of keys and values, and of coefficients.

    In the last, the rows of a block are examples, and its tile's `keys` is unused.
    """

    forward: Tile
    queries: Tile
    keys: Tile
    coefficients: Tile = Tile(128, 128, 4, 2)


class Settings(NamedTuple):
    """Settings that are static when a program is traced.

    Attributes:
      size: K; products of queries, keys and values use no more lanes.
      rate: dropout rate of the attention weights; 0 for none.
      tiles: see `default_tiles`.
      interpret: whether to run the kernels as plain XLA, on any device, for tests.
    """

    size: int
    rate: float
    tiles: Tiles
    interpret: bool = False


def default_tiles(size: int, features: int, dtype: jnp.dtype) -> Tiles:
    """The fastest known tiles for heads of K = `size` and R = `features`; those for bfloat16 were found on an H200."""
    if jnp.dtype(dtype).itemsize > 2:
        return Tiles(*[Tile(32, 32, 4, 2)] * 4)
    if features > 128:
        return Tiles(
            forward=Tile(128, 32, 4, 3, split=True),
            queries=Tile(64, 64, 4, 2, split=True),
            keys=Tile(32, 128, 4, 2, split=True),
            coefficients=Tile(64, 64, 4, 3),
        )
    if size > 32:
        return Tiles(Tile(128, 64, 4, 2), Tile(64, 64, 4, 2), Tile(64, 64, 4, 2), Tile(64, 64, 4, 3))
    if features > 64:
        return Tiles(Tile(128, 64, 4, 3), Tile(64, 64, 4, 3), Tile(64, 64, 4, 2), Tile(64, 64, 4, 3))
    return Tiles(Tile(128, 64, 4, 3), Tile(64, 64, 4, 3), Tile(64, 64, 4, 3))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def attend(
    settings: Settings,
    q_BxTxHxP: jax.Array,
    kv_BxTx2xHxP: jax.Array,
    keys_TxRxHxP: jax.Array,
    features_SxR: jax.Array,
    words: tuple[jax.Array, jax.Array] | None,
) -> jax.Array:
    """softmax(ln 2 · (q · k + q · keysᵀ · features)) · v, with dropout: [B, T, H, P] like v.

    The gradients of q and of k and v are slices of one array, so that a product with both can use it without a copy.

    Args:
      settings: see `Settings`.
      q_BxTxHxP, kv_BxTx2xHxP: queries, keys and values, of one type; P > K. Lanes after K of keys and values are 0.
      keys_TxRxHxP: position keys of the features, of the same type. Their products with the queries are the
        coefficients [B, T, H, R], the last of which must be 1.
      features_SxR: of the same type, S a multiple of LARGEST_TILE and at least T. The last feature is 0 up to T and
        BEYOND from there on. Features get no gradient.
      words: `dropout.mask_words` of the mask [B, H, T, T]; None if the rate is 0.
    """
    return _forward(settings, q_BxTxHxP, kv_BxTx2xHxP, keys_TxRxHxP, features_SxR, words)[0]


def _forward(
    settings: Settings, q: jax.Array, kv: jax.Array, keys: jax.Array, features: jax.Array, words: Any
) -> tuple[jax.Array, tuple]:
    coefficients_BxTxHxR = jnp.einsum("bthp,trhp->bthr", q, keys, precision=precision_of(q.dtype))
    arguments = (q, kv, coefficients_BxTxHxR, features, words)
    batch, tokens, heads, _ = q.shape
    log_sums = jax.ShapeDtypeStruct((batch, heads, tokens), jnp.float32)  # log2 of the sum of 2^logits
    outputs = {"out": q, "lse": log_sums}
    out, lse = _run(kernels.forward, settings, settings.tiles.forward, arguments, {}, outputs)
    return out, (arguments, keys, out, lse)


def _backward(settings: Settings, saved: tuple, slope_BxTxHxP: jax.Array) -> tuple:
    arguments, keys, out, lse = saved
    q, _, coefficients, _, _ = arguments
    arrays = {"do": slope_BxTxHxP, "lse": lse}
    dq, da, delta = _run(
        kernels.queries_gradient,
        settings,
        settings.tiles.queries,
        arguments,
        {**arrays, "out": out},
        {"dq": q, "da": coefficients, "delta": lse},
    )
    batch, tokens, heads, lanes = q.shape
    all_three = jax.ShapeDtypeStruct((batch, tokens, 3, heads, lanes), q.dtype)
    (dqkv,) = _run(
        kernels.keys_gradient,
        settings,
        settings.tiles.keys,
        arguments,
        {**arrays, "delta": delta},
        {"dqkv": all_three},
    )
    dqkv, dkeys = _coefficients_gradient(settings, q, dq, da, keys, dqkv)
    return dqkv[:, :, 0], dqkv[:, :, 1:], dkeys, None, None


attend.defvjp(_forward, _backward)


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
      settings, tile: see `Settings` and `Tile`.
      arguments: those of `attend`, with coefficients [B, T, H, R] in place of the position keys.
      others: the kernel's other inputs, by name.
      outputs: by name, arrays with the shapes and types of the results. Of "dqkv", [B, T, 3, H, P], the second and
        third parts are written, as the kernel's "dk" and "dv".
    """
    q, kv, coefficients, features, words = arguments
    inputs = {"q": q, "k": kv, "v": kv, "a": coefficients, "f": features, **others}
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
        lanes = reach(pieces(name), array.shape[-1])
        if array.ndim == 4:
            return pl.BlockSpec((None, slots, None, lanes), lambda i, h, b: (b, 0, h, 0))
        if name == "dqkv":
            return pl.BlockSpec((None, slots, 3, None, lanes), lambda i, h, b: (b, 0, 0, h, 0))
        slot = ("k", "v").index(name)
        return pl.BlockSpec((None, slots, None, None, lanes), lambda i, h, b: (b, 0, slot, h, 0))

    def views(name: str, array: Any, ref: Any) -> dict[str, Rows | Numbers]:
        if array.ndim == 3:
            return {name: Numbers(ref, tokens)}
        rows = Rows(ref, slots if name == "f" else tokens, array.shape[-1], pieces(name))
        return (
            {"dk": rows._replace(slot=_index(1)), "dv": rows._replace(slot=_index(2))}
            if name == "dqkv"
            else {name: rows}
        )

    arrays = {**inputs, **outputs}
    own = tile.keys if kernel is kernels.keys_gradient else tile.queries

    def program(*refs: Any) -> None:
        named: dict[str, Any] = {}
        for (name, array), ref in zip(arrays.items(), refs, strict=True):
            named |= views(name, array, ref)
        of_all = kernels.Inputs(**{name: named.pop(name) for name in kernels.Inputs._fields if name in named})
        of_program(tokens, own, lambda block: kernel(settings.rate, tile, block, of_all, **named))

    # The first grid axis varies fastest, so programs that share keys and values run consecutively.
    return pl.pallas_call(
        program,
        grid=(pl.cdiv(tokens, own), heads, batch),
        in_specs=[spec(*item) for item in inputs.items()],
        out_specs=[spec(*item) for item in outputs.items()],
        out_shape=[_varying_as(q, array) for array in outputs.values()],
        compiler_params=triton.CompilerParams(num_warps=tile.warps, num_stages=tile.stages),
        interpret=settings.interpret,
        name=f"attention_{kernel.__name__}",
    )(*inputs.values())


def _coefficients_gradient(
    settings: Settings, q: jax.Array, dq: jax.Array, da: jax.Array, keys: jax.Array, dqkv: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Runs the kernel of that name for all tokens and heads; returns `dqkv` with its first part written, and dkeys."""
    batch, tokens, heads, lanes = q.shape
    width, tile = da.shape[-1], settings.tiles.coefficients
    of_q, of_a = tile.pieces(settings.size + 1), tile.pieces(width)
    slots = pl.cdiv(batch, tile.queries) * tile.queries
    q_lanes = reach(of_q, lanes)

    def examples(lanes: int) -> pl.BlockSpec:
        return pl.BlockSpec((slots, None, None, lanes), lambda h, t: (0, t, h, 0))

    first_part = pl.BlockSpec((slots, None, None, None, q_lanes), lambda h, t: (0, t, 0, h, 0))
    of_token = pl.BlockSpec((None, sum(of_a), None, q_lanes), lambda h, t: (t, 0, h, 0))

    def program(q: Any, dq: Any, da: Any, keys: Any, _: Any, total: Any, dkeys: Any) -> None:
        rows = {"q": q, "dq": dq, "total": total}
        kernels.coefficients_gradient(
            tile,
            **{name: Rows(ref, batch, lanes, of_q) for name, ref in rows.items()},
            da=Rows(da, batch, width, of_a),
            keys=Rows(keys, width, lanes, of_q),
            dkeys=Rows(dkeys, width, lanes, of_q),
        )

    return pl.pallas_call(
        program,
        grid=(heads, tokens),
        in_specs=[examples(q_lanes), examples(q_lanes), examples(sum(of_a)), of_token, first_part],
        out_specs=[first_part, of_token],
        out_shape=[_varying_as(q, dqkv), _varying_as(q, keys)],
        input_output_aliases={4: 0},
        compiler_params=triton.CompilerParams(num_warps=tile.warps, num_stages=tile.stages),
        interpret=settings.interpret,
        name="attention_coefficients_gradient",
    )(q, dq, da, keys, dqkv)


def _index(number: int) -> jax.Array:
    """`number` as a traced value: only a traced index can be combined with a mask."""
    return pl.program_id(0) * 0 + number


def _varying_as(like: jax.Array, array: Any) -> jax.ShapeDtypeStruct:
    """The array's shape and type, varying over the same mesh axes as `like`, for use inside shard_map."""
    return jax.ShapeDtypeStruct(array.shape, array.dtype, manual_axis_type=jax.typeof(like).manual_axis_type)
