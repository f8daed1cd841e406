import dataclasses
import math

import jax
import pytest
from flax import nnx

from aloe.model.aloe import Aloe
from aloe.model.config import ARCHITECTURES, ModelConfig
from aloe.model.parameters import is_stacked, is_vector

CONFIG = ModelConfig(
    layers=14,
    heads=2,
    latent=6,
    slots=3,
    frames=4,
    outputs={"bias": 5, "blocks": 2},
    vocabulary=9,
    words=2,
    hidden=32,
    mask_token="learned",
)
# 4 in LayerNorms, 4 projections, 2 logit biases, 3 layers with kernel and bias
PER_BLOCK = 16
STACKS = {
    "transformer": {"tower/blocks/": 14},
    "hierarchical": {"tower/within_frames/blocks/": 7, "tower/between_frames/blocks/": 7},
    "mlp": {},
    "lstm": {},
}


def leaves(architecture):
    config = dataclasses.replace(CONFIG, architecture=architecture)
    params = nnx.state(nnx.eval_shape(lambda: Aloe(config, rngs=nnx.Rngs(0))), nnx.Param)
    return [
        (jax.tree_util.keystr(path, simple=True, separator="/").removesuffix("/value"), path, leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    ]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_stacked_are_those_of_the_blocks(architecture):
    stacked = {name: leaf.shape[0] for name, path, leaf in leaves(architecture) if is_stacked(path)}
    expected = STACKS[architecture]
    assert len(stacked) == PER_BLOCK * len(expected)
    for name, layers in stacked.items():
        assert [layers] == [size for prefix, size in expected.items() if name.startswith(prefix)], name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_vectors_are_all_but_matrices(architecture):
    """Logit biases have one vector per head, and are not matrices although they have two axes."""
    for name, path, leaf in leaves(architecture):
        per_layer = leaf.shape[1:] if is_stacked(path) else leaf.shape
        assert is_vector(path) == (len(per_layer) == 1 or name.endswith(("content_bias", "position_bias"))), name


def linear(inputs, outputs):
    return inputs * outputs + outputs


def block(width, hidden):
    """Two LayerNorms, five linear maps of which one has a bias, two logit biases, the feed-forward part."""
    attention = 5 * width**2 + width + 2 * width
    return 2 * 2 * width + attention + linear(width, hidden) + linear(hidden, width)


def directions(inputs, hidden):
    """An LSTM layer in both directions: four gates, each with weights for input and hidden state, and one bias."""
    return 2 * 4 * (inputs * hidden + hidden * hidden + hidden)


WIDTH, HIDDEN, TOKEN, LATENT = 16, 32, 8, 6
TOWERS = {  # parameters of the tower, width of an output, and objects that an output represents
    "transformer": (linear(TOKEN, WIDTH) + 14 * block(WIDTH, HIDDEN), WIDTH, 1),
    "hierarchical": (
        2 * linear(TOKEN, WIDTH) + 14 * block(WIDTH, HIDDEN) + linear(WIDTH, LATENT) + linear(3 * LATENT, WIDTH),
        WIDTH,
        3,
    ),
    "mlp": (linear((1 + 2 + 12) * TOKEN, HIDDEN) + 13 * linear(HIDDEN, HIDDEN), HIDDEN, 12),
    "lstm": (directions(TOKEN, HIDDEN) + 13 * directions(2 * HIDDEN, HIDDEN), 2 * HIDDEN, 1),
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_there_are_as_many_as_one_counts_by_hand(architecture):
    tower, width, objects = TOWERS[architecture]
    heads = 2 * linear(width, 128) + linear(128, 5) + linear(128, 2)
    embedding = 2 * TOKEN + 9 * (LATENT - 2)  # CLS and mask, words
    expected = tower + heads + embedding + linear(width, objects * LATENT)
    assert sum(math.prod(leaf.shape) for _, _, leaf in leaves(architecture)) == expected
