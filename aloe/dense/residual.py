"""The residual stream: adding a branch to it, with dropout, and its LayerNorm, in one pass over memory per direction.

LayerNorm only normalizes here: its scale and offset are part of the weights of the products that follow.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from aloe.attention.dropout import kept
from aloe.attention.tiles import Block, Numbers, Rows

ROWS = 8  # per tile; with 4 warps, the fastest found on an H200
TILES = 8  # per program of the backward pass, which sums the gradient of the bias over them


class Settings(NamedTuple):
    """Settings that are static when a program is traced.

    Attributes:
      lanes: W, of normalized rows and of the branch's rows.
      epsilon: that of LayerNorm.
      rate: dropout rate of the branch; 0 for none.
      path: one of `aloe.attention.PATHS`.
    """

    lanes: int
    epsilon: float
    rate: float = 0.0
    path: str = "kernels"


class Branch(NamedTuple):
    """What is added to the residual stream.

    Attributes:
      rows_BxTxW: lanes after E are ignored.
      bias_E: added to every row, float32.
      words: `mask_words` of its dropout mask [B, T, E]; None for no dropout.
    """

    rows_BxTxW: jax.Array
    bias_E: jax.Array
    words: tuple[jax.Array, jax.Array] | None


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def normalized_sum(settings: Settings, x_BxTxE: jax.Array, branch: Branch | None) -> tuple[jax.Array, jax.Array]:
    """The sum y of x and the branch (without one, x), and LayerNorm of y without scale or offset.

    Both are returned, so that the gradients of y through either are computed in one pass.

    Returns:
      y [B, T, E] of the type of x, and the normalized y [B, T, W], with 1 in lane E and 0 after it.
    """
    return (_sum_by_xla if settings.path == "xla" else _sum_by_kernel)(settings, x_BxTxE, branch)


def _forward(settings: Settings, x_BxTxE: jax.Array, branch: Branch | None) -> tuple[tuple, tuple]:
    y_BxTxE, normalized_BxTxW = normalized_sum(settings, x_BxTxE, branch)
    needed = None if branch is None else (branch.bias_E, branch.words)
    return (y_BxTxE, normalized_BxTxW), (y_BxTxE, needed)


def _backward(settings: Settings, saved: tuple, slopes: tuple[jax.Array, jax.Array]) -> tuple:
    y_BxTxE, needed = saved
    words = None if needed is None else needed[1]
    gradient = _gradient_by_xla if settings.path == "xla" else _gradient_by_kernel
    dx, dbranch, dbias = gradient(settings, y_BxTxE, *slopes, words, needed is not None)
    return dx, Branch(dbranch, dbias, None) if dbranch is not None and dbias is not None else None


normalized_sum.defvjp(_forward, _backward)


# In plain XLA


def _sum_by_xla(settings: Settings, x_BxTxE: jax.Array, branch: Branch | None) -> tuple[jax.Array, jax.Array]:
    width, dtype, y_BxTxE = x_BxTxE.shape[-1], x_BxTxE.dtype, x_BxTxE
    if branch is not None:
        added = branch.rows_BxTxW[..., :width].astype(jnp.float32) + branch.bias_E
        y_BxTxE = (x_BxTxE + _masked(added, settings.rate, branch.words)).astype(dtype)
    normalized, _ = _normalized(y_BxTxE.astype(jnp.float32), width, settings.epsilon)
    one = jnp.ones((*normalized.shape[:-1], 1))
    return y_BxTxE, _widened(jnp.concatenate([normalized, one], axis=-1), settings.lanes).astype(dtype)


def _gradient_by_xla(
    settings: Settings,
    y_BxTxE: jax.Array,
    dy_BxTxE: jax.Array,
    dnormalized_BxTxW: jax.Array,
    words: tuple[jax.Array, jax.Array] | None,
    with_branch: bool,
) -> tuple[jax.Array, jax.Array | None, jax.Array | None]:
    """Gradients of x, of the branch's rows and of its bias."""
    width, dtype = y_BxTxE.shape[-1], y_BxTxE.dtype
    slopes = dnormalized_BxTxW[..., :width].astype(jnp.float32)
    dx = dy_BxTxE + _normalization_gradient(y_BxTxE.astype(jnp.float32), slopes, width, settings.epsilon)
    if not with_branch:
        return dx.astype(dtype), None, None
    dbranch = _masked(dx, settings.rate, words)
    return dx.astype(dtype), _widened(dbranch, settings.lanes).astype(dtype), jnp.sum(dbranch, axis=(0, 1))


def _masked(rows: jax.Array, rate: float, words: tuple[jax.Array, jax.Array] | None) -> jax.Array:
    if words is None:
        return rows
    row_words, column_words = words
    return jnp.where(kept(row_words[..., :, None], column_words[..., None, :], rate), rows / (1 - rate), 0)


def _widened(rows: jax.Array, lanes: int) -> jax.Array:
    return jnp.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, lanes - rows.shape[-1])])


def _normalized(rows: jax.Array, width: int, epsilon: float) -> tuple[jax.Array, jax.Array]:
    """Rows of mean 0 and variance 1 over their first `width` lanes, 0 after them, and the factor that scaled them."""
    within = jnp.arange(rows.shape[-1]) < width
    mean = jnp.sum(rows, axis=-1, keepdims=True) / width
    centred = jnp.where(within, rows - mean, 0.0)
    factor = jax.lax.rsqrt(jnp.sum(centred * centred, axis=-1, keepdims=True) / width + epsilon)
    return centred * factor, factor


def _normalization_gradient(rows: jax.Array, slopes: jax.Array, width: int, epsilon: float) -> jax.Array:
    """Gradient of rows from the slopes of `_normalized`; both are 0 after `width` lanes, and so is the result."""
    normalized, factor = _normalized(rows, width, epsilon)
    along = jnp.sum(slopes * normalized, axis=-1, keepdims=True) / width
    mean = jnp.sum(slopes, axis=-1, keepdims=True) / width
    within = jnp.arange(rows.shape[-1]) < width
    return jnp.where(within, factor * (slopes - mean - normalized * along), 0.0)


# With kernels: a tile holds whole rows of one example, and zeros beyond them


def _sum_by_kernel(settings: Settings, x_BxTxE: jax.Array, branch: Branch | None) -> tuple[jax.Array, jax.Array]:
    batch, tokens, _ = x_BxTxE.shape
    normalized = jax.ShapeDtypeStruct((batch, tokens, settings.lanes), x_BxTxE.dtype)
    if branch is None:
        (normalized_BxTxW,) = _run(_sum_program, settings, 1, {"x": x_BxTxE}, {"normalized": normalized})
        return x_BxTxE, normalized_BxTxW
    inputs = {"x": x_BxTxE, "branch": branch.rows_BxTxW, "bias": branch.bias_E, **_named(branch.words)}
    y_BxTxE, normalized_BxTxW = _run(_sum_program, settings, 1, inputs, {"y": x_BxTxE, "normalized": normalized})
    return y_BxTxE, normalized_BxTxW


def _gradient_by_kernel(
    settings: Settings,
    y_BxTxE: jax.Array,
    dy_BxTxE: jax.Array,
    dnormalized_BxTxW: jax.Array,
    words: tuple[jax.Array, jax.Array] | None,
    with_branch: bool,
) -> tuple[jax.Array, jax.Array | None, jax.Array | None]:
    inputs = {"y": y_BxTxE, "dy": dy_BxTxE, "dnormalized": dnormalized_BxTxW, **_named(words)}
    if not with_branch:
        (dx_BxTxE,) = _run(_gradient_program, settings, TILES, inputs, {"dx": y_BxTxE})
        return dx_BxTxE, None, None
    batch, tokens, width = y_BxTxE.shape
    sums = jax.ShapeDtypeStruct((batch, pl.cdiv(tokens, ROWS * TILES), 1, width), jnp.float32)
    dx_BxTxE, dbranch_BxTxW, dbias_BxCx1xE = _run(
        _gradient_program, settings, TILES, inputs, {"dx": y_BxTxE, "dbranch": dnormalized_BxTxW, "dbias": sums}
    )
    return dx_BxTxE, dbranch_BxTxW, jnp.sum(dbias_BxCx1xE, axis=(0, 1, 2))


def _named(words: tuple[jax.Array, jax.Array] | None) -> dict[str, jax.Array]:
    return {} if words is None else {"row_words": words[0], "column_words": words[1]}


def _run(
    program: Any, settings: Settings, tiles: int, inputs: dict[str, jax.Array], outputs: dict[str, Any]
) -> list[jax.Array]:
    """Runs a program for all examples and all stretches of `tiles` tiles."""
    batch, tokens, width = next(iter(inputs.values())).shape
    piece = pl.next_power_of_2(settings.lanes)
    stretches = pl.cdiv(tokens, ROWS * tiles)
    slots = stretches * ROWS * tiles
    arrays = {**inputs, **outputs}

    def spec(name: str, array: Any) -> pl.BlockSpec:
        if name == "bias":
            return pl.BlockSpec((piece,), lambda i, b: (0,))
        if name == "dbias":
            return pl.BlockSpec((None, None, None, piece), lambda i, b: (b, i, 0, 0))
        if name == "column_words":
            return pl.BlockSpec((None, piece), lambda i, b: (b, 0))
        if name == "row_words":
            return pl.BlockSpec((None, slots), lambda i, b: (b, 0))
        return pl.BlockSpec((None, slots, piece), lambda i, b: (b, 0, 0))

    def view(name: str, array: Any, ref: Any) -> Rows | Numbers:
        if name == "row_words":
            return Numbers(ref, tokens)
        if array.ndim != 3:
            return Numbers(ref, width)
        return Rows(ref, tokens, array.shape[-1], [piece])

    def body(*refs: Any) -> None:
        program(settings, width, tiles, **{n: view(n, a, r) for (n, a), r in zip(arrays.items(), refs, strict=True)})

    varying = jax.typeof(next(iter(inputs.values()))).manual_axis_type  # the mesh axes it varies over, inside shard_map
    return pl.pallas_call(
        body,
        grid=(stretches, batch),
        in_specs=[spec(*item) for item in inputs.items()],
        out_specs=[spec(*item) for item in outputs.items()],
        out_shape=[jax.ShapeDtypeStruct(a.shape, a.dtype, manual_axis_type=varying) for a in outputs.values()],
        compiler_params=triton.CompilerParams(num_warps=4, num_stages=1),
        interpret=settings.path == "interpreted",
        name=f"residual{program.__name__.removesuffix('_program')}",
    )(*inputs.values())


def _sum_program(
    settings: Settings,
    width: int,
    tiles: int,
    *,
    x: Rows,
    normalized: Rows,
    y: Rows | None = None,
    branch: Rows | None = None,
    bias: Numbers | None = None,
    row_words: Numbers | None = None,
    column_words: Numbers | None = None,
) -> None:
    own = Block(pl.program_id(0) * ROWS, ROWS)
    rows = _tile(x, own)
    lane = jnp.arange(rows.shape[-1])
    if y is not None and branch is not None and bias is not None:
        added = _tile(branch, own) + bias.load(Block(0, len(lane)))
        total = (rows + _kept(settings.rate, added, own, row_words, column_words)).astype(y.ref.dtype)
        y.store(own, [total])
        rows = jnp.where(lane < width, total.astype(jnp.float32), 0.0)
    normalized.store(own, [_normalized(rows, width, settings.epsilon)[0] + jnp.where(lane == width, 1.0, 0.0)])


def _gradient_program(
    settings: Settings,
    width: int,
    tiles: int,
    *,
    y: Rows,
    dy: Rows,
    dnormalized: Rows,
    dx: Rows,
    dbranch: Rows | None = None,
    dbias: Numbers | None = None,
    row_words: Numbers | None = None,
    column_words: Numbers | None = None,
) -> None:
    first = pl.program_id(0) * (ROWS * tiles)
    lanes = y.pieces[0]

    def step(tile: jax.Array, sums: jax.Array) -> jax.Array:
        own = Block(first + tile * ROWS, ROWS)
        slopes = jnp.where(jnp.arange(lanes) < width, _tile(dnormalized, own), 0.0)
        total = _tile(dy, own) + _normalization_gradient(_tile(y, own), slopes, width, settings.epsilon)
        dx.store(own, [total])
        if dbranch is None:
            return sums
        total = _kept(settings.rate, total, own, row_words, column_words)
        dbranch.store(own, [total])
        return sums + total

    within = jnp.minimum(tiles, pl.cdiv(y.tokens - first, ROWS))
    sums = jax.lax.fori_loop(0, within, step, jnp.zeros((ROWS, lanes), jnp.float32))
    if dbias is not None:
        dbias.store(Block(0, lanes), jnp.sum(sums, axis=0))


def _tile(rows: Rows, own: Block) -> jax.Array:
    return rows.load(own)[0].astype(jnp.float32)


def _kept(
    rate: float, rows: jax.Array, own: Block, row_words: Numbers | None, column_words: Numbers | None
) -> jax.Array:
    if row_words is None or column_words is None:
        return rows
    mask = kept(row_words.load(own)[:, None], column_words.load(Block(0, rows.shape[-1]))[None], rate)
    return jnp.where(mask, rows * (1 / (1 - rate)), 0.0)
