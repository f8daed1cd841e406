"""Dropout whose masks are tied to examples: they do not depend on the rest of the batch, or on how it is sharded.

A mask is drawn from one key per example, as a product: each row has a random odd word, each column another, and the
element at their crossing is kept if the product of the two, modulo 2^32, is large. That costs one multiplication and
one comparison per element, whereas drawing it from the counter-based generator costs about 28 integer operations, more
than all the rest of attention. A kernel can regenerate any part of a mask, and only the words, not the mask, are saved
for the backward pass.

Odd words form a group under that multiplication. Elements are therefore independent unless they close a cycle, as all
four crossings of two rows and two columns do: any three are independent, and so are any number in one row or column. At
the corners of a rectangle the other three products determine the fourth, but through their low bits as much as through
the high bits that decide: the remaining dependence among four elements is below 1e-6.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp


class DropoutKeys(NamedTuple):
    """The typed PRNG keys of a training step.

    Attributes:
      examples_B: one per example, a function of seed, step and position in the global batch (and nothing else).
      step: one key shared by all examples of the step, the same on every device, for dropout of position encodings.
    """

    examples_B: jax.Array
    step: jax.Array

    def split(self, *shape: int) -> "DropoutKeys":
        """Independent keys [*shape, B] and [*shape], for instance one per layer and dropout site."""
        examples = jax.vmap(lambda key: jax.random.split(key, shape), out_axes=len(shape))(self.examples_B)
        return DropoutKeys(examples, jax.random.split(self.step, shape))

    def at(self, index: int | slice) -> "DropoutKeys":
        """Those of the split keys at an index of their leading axis."""
        return DropoutKeys(self.examples_B[index], self.step[index])


def mask_words(keys_B: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """The random odd words, uint32, of a mask [B, *lead, rows, columns]: [B, *lead, rows] and [B, *lead, columns].

    Args:
      keys_B: one typed key per example.
      shape: that of the mask without B; two axes or more.
    """
    *lead, rows, columns = shape
    words = jax.vmap(lambda key: jax.random.bits(key, (*lead, rows + columns), jnp.uint32))(keys_B) | 1
    return words[..., :rows], words[..., rows:]


def kept(row_words: jax.Array, column_words: jax.Array, rate: float) -> jax.Array:
    """True where an element is kept, given the words of its row and column, which broadcast; all paths call this."""
    return row_words * column_words >= jnp.uint32(round(rate * 2**32))


def kept_mask(keys_B: jax.Array, rate: float, shape: tuple[int, ...]) -> jax.Array:
    """True where an element is kept: [B, *shape] from one typed key per example; shape has two axes or more."""
    row_words, column_words = mask_words(keys_B, shape)
    return kept(row_words[..., :, None], column_words[..., None, :], rate)


def dropout(x_BxTxE: jax.Array, rate: float, keys_B: jax.Array) -> jax.Array:
    """Zeroes elements at the given rate and scales up the others to preserve the mean."""
    return _drop(x_BxTxE, rate, mask_words(keys_B, x_BxTxE.shape[1:]))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _drop(x: jax.Array, rate: float, words: tuple[jax.Array, jax.Array]) -> jax.Array:
    row_words, column_words = words
    return jnp.where(kept(row_words[..., :, None], column_words[..., None, :], rate), x / (1 - rate), 0)


# Plain differentiation would save the mask, one byte per element.
_drop.defvjp(
    lambda x, rate, words: (_drop(x, rate, words), words),
    lambda rate, words, cotangent: (_drop(cotangent, rate, words), None),
)


def relu_dropout(x_BxTxE: jax.Array, rate: float, keys_B: jax.Array) -> jax.Array:
    """`dropout` of relu(x)."""
    return _relu_drop(x_BxTxE, rate, mask_words(keys_B, x_BxTxE.shape[1:]))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _relu_drop(x: jax.Array, rate: float, words: tuple[jax.Array, jax.Array]) -> jax.Array:
    return jax.nn.relu(_drop(x, rate, words))


# The gradient only needs to know where the result is positive, and the layer that follows saves the result anyway.
_relu_drop.defvjp(
    lambda x, rate, words: (out := _relu_drop(x, rate, words), out),
    lambda rate, out, cotangent: (jnp.where(out > 0, cotangent / (1 - rate), 0), None),
)
