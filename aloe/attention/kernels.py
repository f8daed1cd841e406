"""The programs of attention on NVIDIA GPUs: forward, gradient of queries, gradient of keys and values.

Each runs for a block of tokens of one head of one example, and goes through all blocks of the others. Logits are
q · k + a · f, with the coefficients a of the positions' features f (`aloe.attention.positions`), in units of ln 2, so
that weights are 2^logit. They are computed anew, tile by tile, wherever they are needed.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from aloe.attention.dropout import kept

LN2 = math.log(2)


class Tile(NamedTuple):
    """How a kernel is cut: tokens of a block of queries and of keys; warps of a program; stages of its pipeline."""

    queries: int
    keys: int
    warps: int
    stages: int


class Tiles(NamedTuple):
    """Of the kernels for the forward pass, the gradient of queries, and that of keys and values."""

    forward: Tile
    queries: Tile
    keys: Tile


class Window(NamedTuple):
    """One head of one example in an array: [T] numbers or [T, lanes]."""

    ref: Any
    tokens: int
    lanes: int | None

    def load(self, start: jax.Array, size: int) -> jax.Array:
        """[size] or [size, side of lanes], with zeros where the array has nothing."""
        mask = self._mask(start, size)
        rows = self.ref.at[pl.ds(start, size)]
        return triton.load(rows) if mask is None else triton.load(rows, mask=mask, other=0)

    def store(self, start: jax.Array, values: jax.Array) -> None:
        mask = self._mask(start, len(values))
        triton.store(self.ref.at[pl.ds(start, len(values))], values.astype(self.ref.dtype), mask=mask)

    def _mask(self, start: jax.Array, size: int) -> jax.Array | None:
        mask = None
        if self.tokens % size:
            mask = start + jnp.arange(size) < self.tokens
        if self.lanes is None:
            return mask
        side = self.ref.shape[-1]
        if mask is not None:
            mask = jnp.broadcast_to(mask[:, None], (size, side))
        if self.lanes < side:
            within = jnp.broadcast_to(jnp.arange(side) < self.lanes, (size, side))
            mask = within if mask is None else mask & within
        return mask


def forward(
    rate: float,
    tile: Tile,
    blocks: int,
    *,
    q: Window,
    k: Window,
    v: Window,
    a: Window,
    f: Window,
    out: Window,
    lse: Window,
    rows: Window | None = None,
    columns: Window | None = None,
) -> None:
    """A block of queries, over all keys, by the running maximum and sum of Milakov and Gimelshein, 2018."""
    start = pl.program_id(0) * tile.queries
    q_tile, a_tile = q.load(start, tile.queries), a.load(start, tile.queries)
    row_words = None if rows is None else rows.load(start, tile.queries)

    def step(block: jax.Array, carry: tuple) -> tuple:
        total, highest, norm = carry
        place = block * tile.keys
        logits = triton.dot(a_tile, f.load(place, tile.keys).T) + triton.dot(q_tile, k.load(place, tile.keys).T)
        higher = jnp.maximum(highest, jnp.max(logits, axis=1))
        shrink = jnp.exp2(highest - higher)
        weights = jnp.exp2(logits - higher[:, None])
        norm = norm * shrink + jnp.sum(weights, axis=1)
        if row_words is not None and columns is not None:
            mask = kept(row_words[:, None], columns.load(place, tile.keys)[None], rate)
            weights = jnp.where(mask, weights, 0.0)
        values = v.load(place, tile.keys)
        return total * shrink[:, None] + triton.dot(weights.astype(values.dtype), values), higher, norm

    zeros = jnp.zeros(tile.queries, jnp.float32)
    first = (jnp.zeros((tile.queries, v.ref.shape[-1]), jnp.float32), zeros - 1e30, zeros)
    total, highest, norm = jax.lax.fori_loop(0, blocks, step, first)
    out.store(start, total / (norm * (1 - rate))[:, None])
    lse.store(start, highest + jnp.log2(norm))


def queries_gradient(
    rate: float,
    tile: Tile,
    blocks: int,
    *,
    q: Window,
    k: Window,
    v: Window,
    a: Window,
    f: Window,
    out: Window,
    do: Window,
    lse: Window,
    dq: Window,
    da: Window,
    delta: Window,
    rows: Window | None = None,
    columns: Window | None = None,
) -> None:
    """Gradients of a block of queries and their coefficients, and what `keys_gradient` needs of them.

    With weights w, kept or not (κ is 1 or 0) at a share of σ, the gradient of a logit is w · (κ / σ · do·v − delta),
    and delta = Σ_j w · κ / σ · do·v = do · out. Tiles hold σ times that, and sums over keys are divided by σ.
    """
    start = pl.program_id(0) * tile.queries
    q_tile, a_tile, do_tile = (x.load(start, tile.queries) for x in (q, a, do))
    lse_tile = lse.load(start, tile.queries)
    share = 1 - rate
    sums = jnp.sum(out.load(start, tile.queries).astype(jnp.float32) * do_tile.astype(jnp.float32), axis=1) * share
    delta.store(start, sums)
    row_words = None if rows is None else rows.load(start, tile.queries)

    def step(block: jax.Array, carry: tuple) -> tuple:
        dq_total, da_total = carry
        place = block * tile.keys
        k_tile, f_tile = k.load(place, tile.keys), f.load(place, tile.keys)
        logits = triton.dot(a_tile, f_tile.T) + triton.dot(q_tile, k_tile.T)
        products = triton.dot(do_tile, v.load(place, tile.keys).T)
        if row_words is not None and columns is not None:
            mask = kept(row_words[:, None], columns.load(place, tile.keys)[None], rate)
            products = jnp.where(mask, products, 0.0)
        slopes = (jnp.exp2(logits - lse_tile[:, None]) * (products - sums[:, None])).astype(k_tile.dtype)
        return dq_total + triton.dot(slopes, k_tile), da_total + triton.dot(slopes, f_tile)

    first = tuple(jnp.zeros((tile.queries, x.ref.shape[-1]), jnp.float32) for x in (q, a))
    dq_total, da_total = jax.lax.fori_loop(0, blocks, step, first)
    dq.store(start, dq_total * (LN2 / share))
    da.store(start, da_total * (LN2 / share))


def keys_gradient(
    rate: float,
    tile: Tile,
    blocks: int,
    *,
    q: Window,
    k: Window,
    v: Window,
    a: Window,
    f: Window,
    do: Window,
    lse: Window,
    delta: Window,
    dk: Window,
    dv: Window,
    rows: Window | None = None,
    columns: Window | None = None,
) -> None:
    """Gradients of a block of keys and their values, over all queries. Tiles are [keys, queries] here."""
    start = pl.program_id(0) * tile.keys
    k_tile, v_tile, f_tile = (x.load(start, tile.keys) for x in (k, v, f))
    share = 1 - rate
    column_words = None if columns is None else columns.load(start, tile.keys)

    def step(block: jax.Array, carry: tuple) -> tuple:
        dk_total, dv_total = carry
        place = block * tile.queries
        q_tile, a_tile, do_tile, lse_tile, sums = (x.load(place, tile.queries) for x in (q, a, do, lse, delta))
        weights = jnp.exp2(triton.dot(f_tile, a_tile.T) + triton.dot(k_tile, q_tile.T) - lse_tile[None])
        products = triton.dot(v_tile, do_tile.T)
        used = weights
        if rows is not None and column_words is not None:
            mask = kept(rows.load(place, tile.queries)[None], column_words[:, None], rate)
            used, products = jnp.where(mask, weights, 0.0), jnp.where(mask, products, 0.0)
        slopes = (weights * (products - sums[None])).astype(q_tile.dtype)
        return dk_total + triton.dot(slopes, q_tile), dv_total + triton.dot(used.astype(do_tile.dtype), do_tile)

    first = tuple(jnp.zeros((tile.keys, x.ref.shape[-1]), jnp.float32) for x in (k, v))
    dk_total, dv_total = jax.lax.fori_loop(0, blocks, step, first)
    dk.store(start, dk_total * (LN2 / share))
    dv.store(start, dv_total / share)
