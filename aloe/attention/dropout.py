"""Dropout whose masks follow the examples: they do not depend on which others share the batch, or on how it is split.

A mask comes from one key per example, and is a product: a row has a random odd word, a column another, and the element
where they meet is kept if the product of the two, modulo 2^32, is large. That costs a multiplication and a comparison
an element, where drawing it from the counter-based generator costs about 28 operations on integers, more than all the
rest of attention; a kernel can redraw any part of a mask; and only the words, not the mask, wait for the gradient.

Odd words are a group under that multiplication. So elements, of which no two rows and two columns hold all four
crossings of a cycle, are independent: any three of them are, and so are any number of one row or one column. At the
corners of a rectangle the fourth product is given by the other three, but by their low bits as much as by the high
bits which decide: what remains of it between four elements is below 1e-6.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp


class DropoutKeys(NamedTuple):
    """The typed PRNG keys of a training step.

    Attributes:
      examples_B: one per example, a function of seed, step and place in the global batch (and nothing else).
      step: one for what all examples of the step share, the same on every device: dropout of position encodings.
    """

    examples_B: jax.Array
    step: jax.Array

    def split(self, *shape: int) -> "DropoutKeys":
        """Independent keys [*shape, B] and [*shape], as for every layer and place of dropout."""
        examples = jax.vmap(lambda key: jax.random.split(key, shape), out_axes=len(shape))(self.examples_B)
        return DropoutKeys(examples, jax.random.split(self.step, shape))

    def at(self, index: int | slice) -> "DropoutKeys":
        """Of split keys, those at an index of their leading axis."""
        return DropoutKeys(self.examples_B[index], self.step[index])


def mask_words(keys_B: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """The random odd words, uint32, of a mask [B, *lead, rows, columns]: [B, *lead, rows] and [B, *lead, columns].

    Args:
      keys_B: one typed key per example.
      shape: of the mask without B, of two axes or more.
    """
    *lead, rows, columns = shape
    words = jax.vmap(lambda key: jax.random.bits(key, (*lead, rows + columns), jnp.uint32))(keys_B) | 1
    return words[..., :rows], words[..., rows:]


def kept(row_words: jax.Array, column_words: jax.Array, rate: float) -> jax.Array:
    """True where the element at a row and a column is kept, by their words, which broadcast; all paths call this."""
    return row_words * column_words >= jnp.uint32(round(rate * 2**32))


def kept_mask(keys_B: jax.Array, rate: float, shape: tuple[int, ...]) -> jax.Array:
    """True where an element is kept: [B, *shape] from one typed key per example; shape has two axes or more."""
    row_words, column_words = mask_words(keys_B, shape)
    return kept(row_words[..., :, None], column_words[..., None, :], rate)


def dropout(x_BxTxE: jax.Array, rate: float, keys_B: jax.Array) -> jax.Array:
    """Zeroes elements at the given rate, and scales the others up so that the mean stays."""
    return _drop(x_BxTxE, rate, mask_words(keys_B, x_BxTxE.shape[1:]))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _drop(x: jax.Array, rate: float, words: tuple[jax.Array, jax.Array]) -> jax.Array:
    row_words, column_words = words
    return jnp.where(kept(row_words[..., :, None], column_words[..., None, :], rate), x / (1 - rate), 0)


# By itself, differentiation would keep the mask, a byte an element.
_drop.defvjp(
    lambda x, rate, words: (_drop(x, rate, words), words),
    lambda rate, words, cotangent: (_drop(cotangent, rate, words), None),
)


def relu_dropout(x_BxTxE: jax.Array, rate: float, keys_B: jax.Array) -> jax.Array:
    """The same of what a ReLU lets through."""
    return _relu_drop(x_BxTxE, rate, mask_words(keys_B, x_BxTxE.shape[1:]))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _relu_drop(x: jax.Array, rate: float, words: tuple[jax.Array, jax.Array]) -> jax.Array:
    return jax.nn.relu(_drop(x, rate, words))


# Where the result is above 0 is all that the gradient has to know, and a layer that follows keeps it anyway.
_relu_drop.defvjp(
    lambda x, rate, words: (out := _relu_drop(x, rate, words), out),
    lambda rate, out, cotangent: (jnp.where(out > 0, cotangent / (1 - rate), 0), None),
)
