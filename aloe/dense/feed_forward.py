"""A hidden layer with ReLU and dropout: the mask is applied in the epilogue of the product, and never stored.

The hidden layer is saved for the backward pass as the second product takes it. It is positive exactly where the
gradient passes both ReLU and dropout, so the backward pass needs neither the mask's words nor the input of ReLU.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from aloe.attention.dropout import kept
from aloe.attention.precision import precision_of
from aloe.attention.tiles import Block, Numbers, Rows, covered, of_program
from aloe.dense.projection import LANES, project, weight_gradient

COLUMNS = 128  # the hidden width must be a multiple of it
_WASTE = 1.25  # largest accepted ratio of rows computed, in whole blocks, to tokens


class Tile(NamedTuple):
    """The part of the hidden layer that a program computes, and the program's warps."""

    rows: int
    columns: int
    warps: int


TILES = {2: Tile(128, 128, 4), 4: Tile(32, 64, 4)}  # by bytes per number; for 2, the fastest found on an H200


class Settings(NamedTuple):
    """Settings that are static when a program is traced.

    Attributes:
      rate: dropout rate of the hidden layer; 0 for none.
      path: one of `aloe.attention.PATHS`.
    """

    rate: float = 0.0
    path: str = "kernels"


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def feed_forward(
    settings: Settings,
    x_BxTxW: jax.Array,
    expand_WxM: jax.Array,
    contract_MxW: jax.Array,
    words: tuple[jax.Array, jax.Array] | None,
) -> jax.Array:
    """dropout(relu(x · expand)) · contract, [B, T, W] in the type of x.

    Args:
      settings: see `Settings`.
      x_BxTxW: W a multiple of LANES.
      expand_WxM, contract_MxW: M a multiple of COLUMNS; float32, like their gradients.
      words: `mask_words` of the mask [B, T, M]; None if the rate is 0.
    """
    return _forward(settings, x_BxTxW, expand_WxM, contract_MxW, words)[0]


def _forward(settings: Settings, x: jax.Array, expand: jax.Array, contract: jax.Array, words: Any) -> tuple:
    hidden_BxTxM = _hidden(settings, x, expand.T.astype(x.dtype), words)
    return project(hidden_BxTxM, contract), (x, expand, contract, hidden_BxTxM)


def _backward(settings: Settings, saved: tuple, slope_BxTxW: jax.Array) -> tuple:
    x_BxTxW, expand_WxM, contract_MxW, hidden_BxTxM = saved
    slope_BxTxM = _hidden_gradient(settings, slope_BxTxW, contract_MxW.astype(slope_BxTxW.dtype), hidden_BxTxM)
    return (
        project(slope_BxTxM, expand_WxM.T),
        weight_gradient(x_BxTxW, slope_BxTxM),
        weight_gradient(hidden_BxTxM, slope_BxTxW),
        None,
    )


feed_forward.defvjp(_forward, _backward)


def _hidden(
    settings: Settings, x_BxTxW: jax.Array, weights_MxW: jax.Array, words: tuple[jax.Array, jax.Array] | None
) -> jax.Array:
    """dropout(relu(x · weightsᵀ)), [B, T, M]."""
    shape = (*x_BxTxW.shape[:2], len(weights_MxW))
    tile = TILES[x_BxTxW.dtype.itemsize]
    inputs = {"x": _joined(x_BxTxW), "weights": weights_MxW}
    if words is not None:  # blocks stay within an example, whose mask has column words of its own
        inputs = {"x": x_BxTxW, "weights": weights_MxW, "row_words": words[0], "column_words": words[1]}
        if covered(shape[1], tile.rows) > _WASTE * shape[1]:
            settings = settings._replace(path="xla")
    if settings.path != "xla":
        return _run(_hidden_program, settings, tile, inputs).reshape(shape)
    hidden_BxTxM = jax.nn.relu(_product(x_BxTxW, weights_MxW))
    if words is not None:
        mask_BxTxM = kept(words[0][..., :, None], words[1][..., None, :], settings.rate)
        hidden_BxTxM = jnp.where(mask_BxTxM, hidden_BxTxM / (1 - settings.rate), 0)
    return hidden_BxTxM


def _hidden_gradient(
    settings: Settings, slope_BxTxW: jax.Array, weights_MxW: jax.Array, hidden_BxTxM: jax.Array
) -> jax.Array:
    """Gradient [B, T, M] of the hidden layer before ReLU and dropout, from that of its product with the weights."""
    slope, hidden = _joined(slope_BxTxW), _joined(hidden_BxTxM)
    if settings.path == "xla":
        product = _product(slope, weights_MxW) / (1 - settings.rate)
        return jnp.where(hidden > 0, product, 0).reshape(hidden_BxTxM.shape)
    inputs = {"x": slope, "weights": weights_MxW, "hidden": hidden}
    return _run(_gradient_program, settings, TILES[hidden.dtype.itemsize], inputs).reshape(hidden_BxTxM.shape)


def _product(x_BxTxW: jax.Array, weights_MxW: jax.Array) -> jax.Array:
    return jnp.einsum("btw,mw->btm", x_BxTxW, weights_MxW, precision=precision_of(x_BxTxW.dtype))


def _joined(x_BxTxN: jax.Array) -> jax.Array:
    """All rows as those of one example, [1, B·T, N]."""
    return x_BxTxN.reshape(1, -1, x_BxTxN.shape[-1])


def _run(program: Any, settings: Settings, tile: Tile, inputs: dict[str, jax.Array]) -> jax.Array:
    """Runs a program for all tiles of the result, [B, T, M]."""
    batch, tokens, _ = inputs["x"].shape
    columns, width = inputs["weights"].shape
    blocks = pl.cdiv(tokens, tile.rows)
    slots = blocks * tile.rows
    specs = {
        "x": pl.BlockSpec((None, slots, width), lambda j, i, b: (b, 0, 0)),
        "weights": pl.BlockSpec((tile.columns, width), lambda j, i, b: (j, 0)),
        "hidden": pl.BlockSpec((None, slots, tile.columns), lambda j, i, b: (b, 0, j)),
        "row_words": pl.BlockSpec((None, slots), lambda j, i, b: (b, 0)),
        "column_words": pl.BlockSpec((None, tile.columns), lambda j, i, b: (b, j)),
    }

    def view(name: str, ref: Any) -> Rows | Numbers:
        if name == "row_words":
            return Numbers(ref, tokens)
        if name == "column_words":
            return Numbers(ref, tile.columns)
        if name == "weights":
            return Rows(ref, tile.columns, width, [LANES] * (width // LANES))
        if name == "x":
            return Rows(ref, tokens, width, [LANES] * (width // LANES))
        return Rows(ref, tokens, tile.columns, [tile.columns])

    def body(*refs: Any) -> None:
        views = {name: view(name, ref) for name, ref in zip([*inputs, "out"], refs, strict=True)}
        of_program(tokens, tile.rows, lambda own: program(settings, own, **views), axis=1)

    # The first grid axis varies fastest, so programs that share rows of x run consecutively.
    varying = jax.typeof(inputs["x"]).manual_axis_type  # the mesh axes it varies over, inside shard_map
    return pl.pallas_call(
        body,
        grid=(columns // tile.columns, blocks, batch),
        in_specs=[specs[name] for name in inputs],
        out_specs=specs["hidden"],
        out_shape=jax.ShapeDtypeStruct((batch, tokens, columns), inputs["x"].dtype, manual_axis_type=varying),
        compiler_params=triton.CompilerParams(num_warps=tile.warps, num_stages=3),
        interpret=settings.path == "interpreted",
        name=f"feed_forward{program.__name__.removesuffix('_program')}",
    )(*inputs.values())


def _hidden_program(
    settings: Settings,
    own: Block,
    *,
    x: Rows,
    weights: Rows,
    out: Rows,
    row_words: Numbers | None = None,
    column_words: Numbers | None = None,
) -> None:
    hidden = jnp.maximum(_sums(x, weights, own), 0.0)
    if row_words is not None and column_words is not None:
        columns = column_words.load(Block(0, column_words.tokens))[None]
        hidden = jnp.where(
            kept(row_words.load(own)[:, None], columns, settings.rate), hidden * (1 / (1 - settings.rate)), 0.0
        )
    out.store(own, [hidden])


def _gradient_program(settings: Settings, own: Block, *, x: Rows, weights: Rows, hidden: Rows, out: Rows) -> None:
    sums = _sums(x, weights, own)
    out.store(own, [jnp.where(hidden.load(own)[0] > 0, sums * (1 / (1 - settings.rate)), 0.0)])


def _sums(x: Rows, weights: Rows, own: Block) -> jax.Array:
    """Products of rows with rows of weights, piece by piece: all pieces at once would not fit in registers."""
    columns = Block(0, weights.tokens)
    sums = jnp.zeros((own.size, columns.size), jnp.float32)
    for piece in range(len(x.pieces)):
        left, right = x.load_piece(own, piece), weights.load_piece(columns, piece)
        sums += triton.dot(left, right.T, precision=precision_of(left.dtype))
    return sums
