"""The programs of attention on NVIDIA GPUs: forward, gradient of queries, gradient of keys and values.

Each runs for a block of tokens of one head of one example, and goes through all blocks of the others. Logits are
q · k + a · f, with the coefficients a of the positions' features f (`aloe.attention.positions`), in units of ln 2, so
that weights are 2^logit. They are computed anew, tile by tile, wherever they are needed.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from aloe.attention.dropout import kept

LN2 = math.log(2)
NARROWEST = 16  # side of a tile that the matrix units take


class Tile(NamedTuple):
    """How a kernel is cut: tokens of a block of queries and of keys; warps of a program; stages of its pipeline.

    The sides of tiles are powers of two. A width is either rounded up to one (38 to 64) or, if `split`, cut into some
    (32 + 16).
    """

    queries: int
    keys: int
    warps: int
    stages: int
    split: bool = False

    def pieces(self, width: int) -> list[int]:
        """The widths of the tiles that hold so many lanes."""
        if not self.split:
            return [max(NARROWEST, 1 << (width - 1).bit_length())]
        lanes = -(-width // NARROWEST) * NARROWEST
        return [1 << bit for bit in reversed(range(lanes.bit_length())) if lanes >> bit & 1]


def reach(pieces: list[int], lanes: int) -> int:
    """How many lanes `Rows.store` may touch of as many: tiles, and then zeros."""
    covered = sum(pieces)
    return covered + max(0, -(-(lanes - covered) // NARROWEST) * NARROWEST)


class Numbers(NamedTuple):
    """A number a token, [T], of one head of one example."""

    ref: Any
    tokens: int

    def load(self, start: jax.Array | int, size: int) -> jax.Array:
        """[size], with zeros beyond T."""
        return triton.load(self.ref.at[pl.ds(start, size)], mask=self._within(start, size), other=0)

    def store(self, start: jax.Array | int, numbers: jax.Array) -> None:
        triton.store(self.ref.at[pl.ds(start, len(numbers))], numbers, mask=self._within(start, len(numbers)))

    def _within(self, start: jax.Array | int, size: int) -> jax.Array:
        return start + jnp.arange(size) < self.tokens


class Rows(NamedTuple):
    """A row a token, [T, lanes], of one head of one example; in a program, tiles that stand side by side.

    With a slot, the rows of one of several such arrays, [T, slots, lanes].
    """

    ref: Any
    tokens: int
    lanes: int
    pieces: list[int]
    slot: jax.Array | None = None

    def load(self, start: jax.Array | int, size: int) -> list[jax.Array]:
        """[size, piece] of every piece, with zeros beyond T and beyond the lanes."""
        return [self.load_piece(start, size, number) for number in range(len(self.pieces))]

    def load_piece(self, start: jax.Array | int, size: int, number: int) -> jax.Array:
        """[size, piece] of one piece."""
        lane, piece = sum(self.pieces[:number]), self.pieces[number]
        mask = self._within(start, lane, size, piece)
        return triton.load(self._part(start, lane, size, piece), mask=mask, other=None if mask is None else 0)

    def store(self, start: jax.Array | int, tiles: list[jax.Array]) -> None:
        """Stores tiles side by side, and zeros in the lanes after them."""
        size, lane = len(tiles[0]), 0
        after = range(sum(tile.shape[1] for tile in tiles), self.lanes, NARROWEST)
        for tile in (*tiles, *(jnp.zeros((size, NARROWEST)) for _ in after)):
            piece = tile.shape[1]
            part = self._part(start, lane, size, piece)
            triton.store(part, tile.astype(self.ref.dtype), mask=self._within(start, lane, size, piece))
            lane += piece

    def zeros(self, size: int) -> list[jax.Array]:
        return [jnp.zeros((size, piece), jnp.float32) for piece in self.pieces]

    def _part(self, start: jax.Array | int, lane: int, size: int, piece: int) -> Any:
        rows, lanes = pl.ds(start, size), pl.ds(lane, piece)
        return self.ref.at[rows, lanes] if self.slot is None else self.ref.at[rows, self.slot, lanes]

    def _within(self, start: jax.Array | int, lane: int, size: int, piece: int) -> jax.Array | None:
        mask = None
        if self.tokens % size:
            mask = jnp.broadcast_to((start + jnp.arange(size) < self.tokens)[:, None], (size, piece))
        if self.lanes < lane + piece:
            lanes = jnp.broadcast_to(lane + jnp.arange(piece) < self.lanes, (size, piece))
            mask = lanes if mask is None else mask & lanes
        return mask


class Inputs(NamedTuple):
    """What all kernels of attention take: queries, keys and values, coefficients and features, words of the dropout."""

    q: Rows
    k: Rows
    v: Rows
    a: Rows
    f: Rows
    row_words: Numbers | None = None
    column_words: Numbers | None = None


def forward(rate: float, tile: Tile, blocks: int, inputs: Inputs, *, out: Rows, lse: Numbers) -> None:
    """A block of queries, over all keys, by the running maximum and sum of Milakov and Gimelshein, 2018."""
    q, k, v, a, f, row_words, column_words = inputs
    start = pl.program_id(0) * tile.queries
    queries, coefficients = q.load(start, tile.queries), a.load(start, tile.queries)
    rows = None if row_words is None else row_words.load(start, tile.queries)[:, None]

    def step(block: jax.Array, carry: tuple) -> tuple:
        totals, highest, norm = carry
        place = block * tile.keys
        logits = _products(coefficients, f.load(place, tile.keys)) + _products(queries, k.load(place, tile.keys))
        higher = jnp.maximum(highest, jnp.max(logits, axis=1))
        shrink = jnp.exp2(highest - higher)
        weights = jnp.exp2(logits - higher[:, None])
        norm = norm * shrink + jnp.sum(weights, axis=1)
        if rows is not None and column_words is not None:
            weights = jnp.where(kept(rows, column_words.load(place, tile.keys)[None], rate), weights, 0.0)
        totals = [total * shrink[:, None] for total in totals]
        return _added(totals, weights, v.load(place, tile.keys)), higher, norm

    zeros = jnp.zeros(tile.queries, jnp.float32)
    totals, highest, norm = jax.lax.fori_loop(0, blocks, step, (v.zeros(tile.queries), zeros - 1e30, zeros))
    scale = 1 / (norm * (1 - rate))
    out.store(start, [total * scale[:, None] for total in totals])
    lse.store(start, highest + jnp.log2(norm))


def queries_gradient(
    rate: float,
    tile: Tile,
    blocks: int,
    inputs: Inputs,
    *,
    out: Rows,
    do: Rows,
    lse: Numbers,
    dq: Rows,
    da: Rows,
    delta: Numbers,
) -> None:
    """Gradients of a block of queries and their coefficients, and what `keys_gradient` needs of them.

    With weights w, kept or not (κ is 1 or 0) at a share of σ, the gradient of a logit is w · (κ / σ · do·v − delta),
    and delta = Σ_j w · κ / σ · do·v = do · out. Tiles hold σ times that, and sums over keys are divided by σ.
    """
    q, k, v, a, f, row_words, column_words = inputs
    start = pl.program_id(0) * tile.queries
    queries, coefficients, slopes = (x.load(start, tile.queries) for x in (q, a, do))
    outputs, norms = out.load(start, tile.queries), lse.load(start, tile.queries)[:, None]
    share = 1 - rate
    pairs = ((x.astype(jnp.float32), y.astype(jnp.float32)) for x, y in zip(outputs, slopes, strict=True))
    deltas = share * functools.reduce(jnp.add, (jnp.sum(x * y, axis=1) for x, y in pairs))
    delta.store(start, deltas)
    rows = None if row_words is None else row_words.load(start, tile.queries)[:, None]

    def step(block: jax.Array, carry: tuple) -> tuple:
        dq_totals, da_totals = carry
        place = block * tile.keys
        keys, features = k.load(place, tile.keys), f.load(place, tile.keys)
        weights = jnp.exp2(_products(coefficients, features) + _products(queries, keys) - norms)
        weight_slopes = _products(slopes, v.load(place, tile.keys))
        if rows is not None and column_words is not None:
            mask = kept(rows, column_words.load(place, tile.keys)[None], rate)
            weight_slopes = jnp.where(mask, weight_slopes, 0.0)
        logit_slopes = weights * (weight_slopes - deltas[:, None])
        return _added(dq_totals, logit_slopes, keys), _added(da_totals, logit_slopes, features)

    first = (q.zeros(tile.queries), a.zeros(tile.queries))
    dq_totals, da_totals = jax.lax.fori_loop(0, blocks, step, first)
    dq.store(start, [total * (LN2 / share) for total in dq_totals])
    da.store(start, [total * (LN2 / share) for total in da_totals])


def keys_gradient(
    rate: float,
    tile: Tile,
    blocks: int,
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
    start = pl.program_id(0) * tile.keys
    keys, values, features = (x.load(start, tile.keys) for x in (k, v, f))
    columns = None if column_words is None else column_words.load(start, tile.keys)[:, None]

    def step(block: jax.Array, carry: tuple) -> tuple:
        dk_totals, dv_totals = carry
        place = block * tile.queries
        queries, coefficients, slopes = (x.load(place, tile.queries) for x in (q, a, do))
        norms, deltas = (x.load(place, tile.queries)[None] for x in (lse, delta))
        weights = jnp.exp2(_products(features, coefficients) + _products(keys, queries) - norms)
        weight_slopes = _products(values, slopes)
        used = weights
        if row_words is not None and columns is not None:
            mask = kept(row_words.load(place, tile.queries)[None], columns, rate)
            used, weight_slopes = jnp.where(mask, weights, 0.0), jnp.where(mask, weight_slopes, 0.0)
        logit_slopes = weights * (weight_slopes - deltas)
        return _added(dk_totals, logit_slopes, queries), _added(dv_totals, used, slopes)

    dk_totals, dv_totals = jax.lax.fori_loop(0, blocks, step, (k.zeros(tile.keys), v.zeros(tile.keys)))
    share = 1 - rate
    dk.store(start, [total * (LN2 / share) for total in dk_totals])
    dv.store(start, [total / share for total in dv_totals])


def coefficients_gradient(
    examples: int,
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

    Rows are those of the examples here. Goes through all of them; `total` is the sum of `dq` and what is added to it.
    """
    starts = [sum(da.pieces[:number]) for number in range(len(da.pieces))]
    position_keys = [keys.load(start, piece) for start, piece in zip(starts, da.pieces, strict=True)]

    def step(block: jax.Array, sums: list[list[jax.Array]]) -> list[list[jax.Array]]:
        start = block * tile.queries
        slopes, queries = da.load(start, tile.queries), q.load(start, tile.queries)
        totals = [piece.astype(jnp.float32) for piece in dq.load(start, tile.queries)]
        for slope, of_features in zip(slopes, position_keys, strict=True):
            totals = _added(totals, slope, of_features)
        total.store(start, totals)
        return [_added(sum_, slope.T, queries) for sum_, slope in zip(sums, slopes, strict=True)]

    sums = jax.lax.fori_loop(0, pl.cdiv(examples, tile.queries), step, [keys.zeros(piece) for piece in da.pieces])
    for start, sum_ in zip(starts, sums, strict=True):
        dkeys.store(start, sum_)


def _products(lefts: list[jax.Array], rights: list[jax.Array]) -> jax.Array:
    """Of every row of the one with every row of the other, over all lanes."""
    return functools.reduce(jnp.add, (_dot(left, right.T) for left, right in zip(lefts, rights, strict=True)))


def _added(totals: list[jax.Array], factors: jax.Array, rows: list[jax.Array]) -> list[jax.Array]:
    """The totals and the rows times factors, piece by piece."""
    factors = factors.astype(rows[0].dtype)
    return [total + _dot(factors, piece) for total, piece in zip(totals, rows, strict=True)]


def _dot(left: jax.Array, right: jax.Array) -> jax.Array:
    """That float32 means float32 is said here: backward passes do not see `jax.default_matmul_precision`."""
    return triton.dot(left, right, precision=jax.lax.Precision.HIGHEST if left.dtype == jnp.float32 else None)
