"""Dropout whose masks follow the examples: they do not depend on which others share the batch, or on how it is split.

A mask comes from one key per example. It takes one byte of randomness per element, four from each 32-bit word of the
counter-based generator, because whole words cost a step on a CPU more than its attention. So the rate is rounded to a
whole number of 256ths (0.1 becomes 26/256), and what is kept is scaled by exactly what that keeps on average.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


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


def kept_share(rate: float) -> float:
    """The share of elements that a mask of this rate keeps."""
    return 1 - round(rate * 256) / 256


def kept_mask(keys_B: jax.Array, rate: float, shape: tuple[int, ...]) -> jax.Array:
    """True where an element is kept: [B, *shape] from one typed key per example; shape has two axes or more.

    Element [..., i, j] takes byte i % 4 of the word at [..., i // 4, j], so that a kernel can redraw any tile of it.
    """
    *lead, rows, columns = shape

    def one(key: jax.Array) -> jax.Array:
        words = jax.random.bits(key, (*lead, -(-rows // 4), 1, columns))
        octets = (words >> np.arange(0, 32, 8, dtype=np.uint32)[:, None]) & 0xFF
        return octets.reshape(*lead, -1, columns)[..., :rows, :] >= round(rate * 256)

    return jax.vmap(one)(keys_B)


def dropout(x_BxTxE: jax.Array, rate: float, keys_B: jax.Array) -> jax.Array:
    """Zeroes elements at the given rate, and scales the others up so that the mean stays."""
    return jnp.where(kept_mask(keys_B, rate, x_BxTxE.shape[1:]), x_BxTxE / kept_share(rate), 0)
