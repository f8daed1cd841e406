"""Tiles: how a program of a Pallas kernel accesses rows of tokens, and what it reads past their end.

Sides of tiles are powers of two. Rows are processed in whole blocks, which need no mask. The remainder (of 641 tokens,
one) is a block of the smallest side that holds it, with zeros past the end. If that is a full block, all are masked.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

NARROWEST = 16  # tile side that the matrix units accept


class Tile(NamedTuple):
    """How a kernel is tiled: tokens per block of queries and of keys; warps per program; stages of its pipeline.

    The sides of tiles are powers of two. A width is either rounded up to one (38 to 64) or, if `split`, divided into
    several (32 + 16).
    """

    queries: int
    keys: int
    warps: int
    stages: int
    split: bool = False

    def pieces(self, width: int) -> list[int]:
        """Widths of the tiles that hold `width` lanes."""
        if not self.split:
            return [rounded_up(width)]
        lanes = -(-width // NARROWEST) * NARROWEST
        return [1 << bit for bit in reversed(range(lanes.bit_length())) if lanes >> bit & 1]


def rounded_up(size: int) -> int:
    """Side of the smallest tile that holds `size`."""
    return max(NARROWEST, 1 << (size - 1).bit_length())


class Block(NamedTuple):
    """Rows that a program handles at a time: `size` of them, a power of two, starting at a multiple of it.

    If `full`, all rows are known to exist; otherwise they are masked unless the number of rows is a multiple of `size`.
    """

    start: jax.Array | int
    size: int
    full: bool = False


def smaller_last(tokens: int, size: int) -> int:
    """Side of the last block if a smaller one than the others holds the remainder; else 0."""
    left = tokens % size
    return rounded_up(left) if left and rounded_up(left) < size else 0


def covered(tokens: int, size: int) -> int:
    """Tokens that blocks cover: T, and the part of the last block that is beyond."""
    smaller = smaller_last(tokens, size)
    return tokens // size * size + smaller if smaller else pl.cdiv(tokens, size) * size


def of_program(tokens: int, size: int, run: Callable[[Block], None], axis: int = 0) -> None:
    """Runs a program for the block given by its index along an axis of the grid."""
    number, whole = pl.program_id(axis), tokens // size
    last = Block(whole * size, smaller_last(tokens, size))
    if not last.size:
        run(Block(number * size, size))
    elif not whole:
        run(last)
    else:
        jax.lax.cond(number < whole, lambda: run(Block(number * size, size, full=True)), lambda: run(last))


def over_blocks(tokens: int, size: int, step: Callable[[Block, Any], Any], carry: Any) -> Any:
    """Folds a step over all blocks: those of one size in a loop, then a smaller one, if any."""
    smaller = smaller_last(tokens, size)
    blocks = tokens // size if smaller else pl.cdiv(tokens, size)
    full = bool(smaller)
    if blocks:
        carry = jax.lax.fori_loop(0, blocks, lambda number, x: step(Block(number * size, size, full), x), carry)
    return step(Block(blocks * size, smaller), carry) if smaller else carry


def reach(pieces: list[int], lanes: int) -> int:
    """How many lanes `Rows.store` may touch in an array of `lanes`: those of the tiles, then zeros."""
    covered = sum(pieces)
    return covered + max(0, -(-(lanes - covered) // NARROWEST) * NARROWEST)


class Numbers(NamedTuple):
    """One number per token, [T], of one head of one example."""

    ref: Any
    tokens: int

    def load(self, block: Block) -> jax.Array:
        """[size], with zeros beyond T."""
        mask = self._within(block)
        return triton.load(self._part(block), mask=mask, other=None if mask is None else 0)

    def store(self, block: Block, numbers: jax.Array) -> None:
        triton.store(self._part(block), numbers, mask=self._within(block))

    def _part(self, block: Block) -> Any:
        return self.ref.at[pl.ds(block.start, block.size)]

    def _within(self, block: Block) -> jax.Array | None:
        if block.full or self.tokens % block.size == 0:
            return None
        return block.start + jnp.arange(block.size) < self.tokens


class Rows(NamedTuple):
    """One row per token, [T, lanes], of one head of one example; in a program, tiles side by side.

    With a slot, the rows of one of several such arrays, [T, slots, lanes].
    """

    ref: Any
    tokens: int
    lanes: int
    pieces: list[int]
    slot: jax.Array | None = None

    def load(self, block: Block) -> list[jax.Array]:
        """[size, piece] for every piece, with zeros beyond T and beyond the lanes."""
        return [self.load_piece(block, number) for number in range(len(self.pieces))]

    def load_piece(self, block: Block, number: int) -> jax.Array:
        """[size, piece] of one piece."""
        lane, piece = sum(self.pieces[:number]), self.pieces[number]
        mask = self._within(block, lane, piece)
        return triton.load(self._part(block, lane, piece), mask=mask, other=None if mask is None else 0)

    def store(self, block: Block, tiles: list[jax.Array]) -> None:
        """Stores tiles side by side, and zeros in the lanes after them."""
        lane = 0
        after = range(sum(tile.shape[1] for tile in tiles), self.lanes, NARROWEST)
        for tile in (*tiles, *(jnp.zeros((block.size, NARROWEST)) for _ in after)):
            piece = tile.shape[1]
            part = self._part(block, lane, piece)
            triton.store(part, tile.astype(self.ref.dtype), mask=self._within(block, lane, piece))
            lane += piece

    def zeros(self, size: int) -> list[jax.Array]:
        return [jnp.zeros((size, piece), jnp.float32) for piece in self.pieces]

    def _part(self, block: Block, lane: int, piece: int) -> Any:
        rows, lanes = pl.ds(block.start, block.size), pl.ds(lane, piece)
        return self.ref.at[rows, lanes] if self.slot is None else self.ref.at[rows, self.slot, lanes]

    def _within(self, block: Block, lane: int, piece: int) -> jax.Array | None:
        mask = None
        if not block.full and self.tokens % block.size:
            rows = block.start + jnp.arange(block.size) < self.tokens
            mask = jnp.broadcast_to(rows[:, None], (block.size, piece))
        if self.lanes < lane + piece:
            lanes = jnp.broadcast_to(lane + jnp.arange(piece) < self.lanes, (block.size, piece))
            mask = lanes if mask is None else mask & lanes
        return mask
