"""The programs of attention on NVIDIA GPUs: forward, gradients of queries, of keys and values, and of coefficients.

All but the last run for a block of queries or keys of one head of one example, and loop over all blocks of the other.
Logits are q · k + a · f, with the coefficients a of the positions' features f (`aloe.attention.positions`), in units of
ln 2, so that weights are 2^logit. They are recomputed, tile by tile, wherever they are needed.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental.pallas import triton

from aloe.attention.dropout import kept
from aloe.attention.precision import precision_of
from aloe.attention.tiles import Block, Numbers, Rows, Tile, over_blocks

LN2 = math.log(2)


class Inputs(NamedTuple):
    """Inputs that the attention kernels share: queries, keys and values, coefficients and features, dropout words."""

    q: Rows
    k: Rows
    v: Rows
    a: Rows
    f: Rows
    row_words: Numbers | None = None
    column_words: Numbers | None = None


def forward(rate: float, tile: Tile, own: Block, inputs: Inputs, *, out: Rows, lse: Numbers) -> None:
    """Output of a block of queries, over all keys, with the running maximum and sum of Milakov and Gimelshein, 2018."""
    q, k, v, a, f, row_words, column_words = inputs
    queries, coefficients = q.load(own), a.load(own)
    rows = None if row_words is None else row_words.load(own)[:, None]

    def step(block: Block, carry: tuple) -> tuple:
        totals, highest, norm = carry
        logits = _products(coefficients, f.load(block)) + _products(queries, k.load(block))
        higher = jnp.maximum(highest, jnp.max(logits, axis=1))
        shrink = jnp.exp2(highest - higher)
        weights = jnp.exp2(logits - higher[:, None])
        norm = norm * shrink + jnp.sum(weights, axis=1)
        if rows is not None and column_words is not None:
            weights = jnp.where(kept(rows, column_words.load(block)[None], rate), weights, 0.0)
        totals = [total * shrink[:, None] for total in totals]
        return _added(totals, weights, v.load(block)), higher, norm

    zeros = jnp.zeros(own.size, jnp.float32)
    first = (v.zeros(own.size), zeros - 1e30, zeros)
    totals, highest, norm = over_blocks(k.tokens, tile.keys, step, first)
    scale = 1 / (norm * (1 - rate))
    out.store(own, [total * scale[:, None] for total in totals])
    lse.store(own, highest + jnp.log2(norm))


def queries_gradient(
    rate: float,
    tile: Tile,
    own: Block,
    inputs: Inputs,
    *,
    out: Rows,
    do: Rows,
    lse: Numbers,
    dq: Rows,
    da: Rows,
    delta: Numbers,
) -> None:
    """Gradients of a block of queries and their coefficients, and the delta that `keys_gradient` needs.

    With weights w, kept (κ = 1) with probability σ or dropped (κ = 0), the gradient of a logit is
    w · (κ / σ · do·v − delta), where delta = Σ_j w · κ / σ · do·v = do · out. Tiles hold σ times these values, and sums
    over keys are divided by σ.
    """
    q, k, v, a, f, row_words, column_words = inputs
    queries, coefficients, slopes, outputs = (x.load(own) for x in (q, a, do, out))
    norms = lse.load(own)[:, None]
    share = 1 - rate
    pairs = ((x.astype(jnp.float32), y.astype(jnp.float32)) for x, y in zip(outputs, slopes, strict=True))
    deltas = share * functools.reduce(jnp.add, (jnp.sum(x * y, axis=1) for x, y in pairs))
    delta.store(own, deltas)
    rows = None if row_words is None else row_words.load(own)[:, None]

    def step(block: Block, carry: tuple) -> tuple:
        dq_totals, da_totals = carry
        keys, features = k.load(block), f.load(block)
        weights = jnp.exp2(_products(coefficients, features) + _products(queries, keys) - norms)
        weight_slopes = _products(slopes, v.load(block))
        if rows is not None and column_words is not None:
            mask = kept(rows, column_words.load(block)[None], rate)
            weight_slopes = jnp.where(mask, weight_slopes, 0.0)
        logit_slopes = weights * (weight_slopes - deltas[:, None])
        return _added(dq_totals, logit_slopes, keys), _added(da_totals, logit_slopes, features)

    dq_totals, da_totals = over_blocks(k.tokens, tile.keys, step, (q.zeros(own.size), a.zeros(own.size)))
    dq.store(own, [total * (LN2 / share) for total in dq_totals])
    da.store(own, [total * (LN2 / share) for total in da_totals])


def keys_gradient(
    rate: float,
    tile: Tile,
    own: Block,
    inputs: Inputs,
    *,
    do: Rows,
    lse: Numbers,
    delta: Numbers,
    dk: Rows,
    dv: Rows,
) -> None:
    """Gradients of a block of keys and their values, over all queries. Tiles are [keys, queries] here."""
    q, k, v, a, f, row_words, column_words = inputs
    keys, values, features = (x.load(own) for x in (k, v, f))
    columns = None if column_words is None else column_words.load(own)[:, None]

    def step(block: Block, carry: tuple) -> tuple:
        dk_totals, dv_totals = carry
        queries, coefficients, slopes = (x.load(block) for x in (q, a, do))
        norms, deltas = (x.load(block)[None] for x in (lse, delta))
        weights = jnp.exp2(_products(features, coefficients) + _products(keys, queries) - norms)
        weight_slopes = _products(values, slopes)
        used = weights
        if row_words is not None and columns is not None:
            mask = kept(row_words.load(block)[None], columns, rate)
            used, weight_slopes = jnp.where(mask, weights, 0.0), jnp.where(mask, weight_slopes, 0.0)
        logit_slopes = weights * (weight_slopes - deltas)
        return _added(dk_totals, logit_slopes, queries), _added(dv_totals, used, slopes)

    dk_totals, dv_totals = over_blocks(q.tokens, tile.queries, step, (k.zeros(own.size), v.zeros(own.size)))
    share = 1 - rate
    dk.store(own, [total * (LN2 / share) for total in dk_totals])
    dv.store(own, [total / share for total in dv_totals])


def coefficients_gradient(
    tile: Tile,
    *,
    q: Rows,
    dq: Rows,
    da: Rows,
    keys: Rows,
    total: Rows,
    dkeys: Rows,
) -> None:
    """What the coefficients a = q · keysᵀ of one token and head add to the gradient of q, and the gradient of the keys.

    Rows are examples here, and the program loops over all of them; `total` is `dq` plus what is added to it.
    """
    pieces = [Block(sum(da.pieces[:number]), piece) for number, piece in enumerate(da.pieces)]
    position_keys = [keys.load(piece) for piece in pieces]

    def step(block: Block, sums: list[list[jax.Array]]) -> list[list[jax.Array]]:
        slopes, queries = da.load(block), q.load(block)
        totals = [piece.astype(jnp.float32) for piece in dq.load(block)]
        for slope, of_features in zip(slopes, position_keys, strict=True):
            totals = _added(totals, slope, of_features)
        total.store(block, totals)
        return [_added(sum_, slope.T, queries) for sum_, slope in zip(sums, slopes, strict=True)]

    sums = over_blocks(q.tokens, tile.queries, step, [keys.zeros(piece) for piece in da.pieces])
    for piece, sum_ in zip(pieces, sums, strict=True):
        dkeys.store(piece, sum_)


def _products(lefts: list[jax.Array], rights: list[jax.Array]) -> jax.Array:
    """Dot products of every left row with every right row, over all lanes."""
    return functools.reduce(jnp.add, (_dot(left, right.T) for left, right in zip(lefts, rights, strict=True)))


def _added(totals: list[jax.Array], factors: jax.Array, rows: list[jax.Array]) -> list[jax.Array]:
    """The totals plus factors · rows, piece by piece."""
    factors = factors.astype(rows[0].dtype)
    return [total + _dot(factors, piece) for total, piece in zip(totals, rows, strict=True)]


def _dot(left: jax.Array, right: jax.Array) -> jax.Array:
    return triton.dot(left, right, precision=precision_of(left.dtype))
