"""Useful work: the multiplications and additions of the matrix products that no path can do without.

Two per multiply-add. Elementwise work, softmax and LayerNorm are left out, and so is whatever a path does beyond the
definition (a shift computes logits for twice as many distances, recomputation repeats a forward pass), so that a faster
path has a higher share of peak. With `gradient`, the backward pass is counted too: one product for each factor that is
not constant.
"""

import itertools
from collections.abc import Mapping

from aloe.model.config import ModelConfig
from aloe.perception.config import MASKED_FRAMES, STORED, PerceptionConfig


def attention(batch: int, tokens: int, heads: int, size: int, *, gradient: bool = False) -> int:
    """Relative attention: three products over K numbers for each pair of tokens and each head.

    2·B·H·T²·K each for the content logits, the position logits and the sum over values, plus 2·(2T − 1)·E² for the
    relative keys of all 2T − 1 distances, which the batch shares and whose sinusoids have no gradient. E = H·K.
    """
    pairs = 3 * 2 * batch * heads * tokens**2 * size
    relative_keys = 2 * (2 * tokens - 1) * (heads * size) ** 2
    return _passes(gradient) * pairs + (2 if gradient else 1) * relative_keys


def transformer(batch: int, tokens: int, config: ModelConfig, *, gradient: bool = False) -> int:
    """The input projection, and L blocks: four projections of 2·B·T·E², two layers of 2·B·T·E·M, and attention."""
    projection = 2 * batch * tokens * config.token * config.width
    dense = 2 * batch * tokens * config.width * (4 * config.width + 2 * config.hidden)
    attended = attention(batch, tokens, config.heads, config.token, gradient=gradient)
    return _passes(gradient) * (projection + config.layers * dense) + config.layers * attended


def head(batch: int, config: ModelConfig, answers: int, *, gradient: bool = False) -> int:
    """A head: a hidden layer and the logits, for CLS only."""
    return _passes(gradient) * 2 * batch * config.head_hidden * (config.width + answers)


def infill(batch: int, config: ModelConfig, *, gradient: bool = False) -> int:
    """The map f from the outputs of objects to latents."""
    return _passes(gradient) * 2 * batch * config.frames * config.slots * config.width * config.latent


def training_step(config: ModelConfig, sequences: Mapping[str, int]) -> int | None:
    """A model's training step on sequences, counted by the head that answers; those without a head are infilled.

    None for a tower without formulas.
    """
    if config.architecture != "transformer":
        return None
    work = transformer(sum(sequences.values()), config.tokens, config, gradient=True)
    for name, count in sequences.items():
        answers = config.outputs.get(name)
        work += head(count, config, answers, gradient=True) if answers else infill(count, config, gradient=True)
    return work


def perception(videos: int, config: PerceptionConfig, model: ModelConfig, *, gradient: bool = False) -> int:
    """The ResNet over every frame, or over every object of every frame, and the dense layer to the latents.

    For each block with C input and C′ output channels and S output rows and columns, two for every tap of a convolution
    that falls inside the picture: 2·(3S − 1)²·C·C′ for the one with stride 2, and 2·(3S − 2)²·C′² for the other. The
    dense layer takes 2·S²·C′·D. Pixels have no gradient.
    """
    if config.kind == STORED:
        return 0
    first, rest, side = 0, 0, config.size
    for inputs, outputs in itertools.pairwise(config.channels):
        side //= 2
        strided = 2 * (3 * side - 1) ** 2 * inputs * outputs
        first, rest = (strided, rest) if not first else (first, rest + strided)
        rest += 2 * (3 * side - 2) ** 2 * outputs**2
    rest += 2 * side**2 * config.channels[-1] * model.latent
    pictures = videos * model.frames * (model.slots if config.kind == MASKED_FRAMES else 1)
    return pictures * ((2 if gradient else 1) * first + _passes(gradient) * rest)


def _passes(gradient: bool) -> int:
    return 3 if gradient else 1
