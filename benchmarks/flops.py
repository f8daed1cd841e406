"""Useful work, counted: the multiplications and additions of matrix products that no path can do without.

Two per product of numbers. Elementwise work, softmax and LayerNorm are left out, and so is whatever a path does beyond
the definition (a shift computes logits of twice as many distances, a recomputation repeats a forward pass), so that a
faster path is a better share of peak. A gradient costs twice its forward pass: one product for each factor.
"""

from aloe.model.config import ModelConfig

FORWARD_AND_BACKWARD = 3


def attention(batch: int, tokens: int, heads: int, size: int) -> int:
    """Relative attention, forward: for each pair of tokens and each head three products over K numbers.

    2·B·H·T²·K each for the content logits, the position logits and the sum over values, and the relative keys of all
    2T − 1 distances, 2·(2T − 1)·E², which the batch shares. E = H·K.
    """
    width = heads * size
    return 3 * 2 * batch * heads * tokens**2 * size + 2 * (2 * tokens - 1) * width**2


def block(batch: int, tokens: int, config: ModelConfig) -> int:
    """One block, forward: four projections of 2·B·T·E², two layers of 2·B·T·E·M, and attention."""
    dense = 2 * batch * tokens * config.width * (4 * config.width + 2 * config.hidden)
    return dense + attention(batch, tokens, config.heads, config.token)


def transformer(batch: int, tokens: int, config: ModelConfig) -> int:
    """The transformer, forward: the input projection and the blocks."""
    return 2 * batch * tokens * config.token * config.width + config.layers * block(batch, tokens, config)


def head(batch: int, config: ModelConfig, answers: int) -> int:
    """A head, forward: a hidden layer and the logits, of CLS alone."""
    return 2 * batch * config.head_hidden * (config.width + answers)


def infill(batch: int, config: ModelConfig) -> int:
    """The map f from the outputs of objects to latents, forward."""
    return 2 * batch * config.frames * config.slots * config.width * config.latent
