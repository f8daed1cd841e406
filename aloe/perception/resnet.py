"""The ResNet that is trained jointly with Aloe, for superpixels (paper §3.1) and masked frames (appendix B).

The paper gives only its depth, for appendix B: 3 blocks of 2 convolutions. The rest is ours: the widths of the ResNets
for small images in He et al. (2016), and no normalisation, because batch statistics would couple examples and those of
a single image are worth little where nearly all of it is masked.
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from aloe.perception.config import PerceptionConfig


class Block(nnx.Module):
    """Two 3 × 3 convolutions, the first with stride 2, and a shortcut around them (He et al., 2016).

    The shortcut has no parameters: the mean of 2 × 2 pixels, and zeros for the added channels.
    """

    def __init__(self, inputs: int, outputs: int, dtype: Any, *, rngs: nnx.Rngs) -> None:
        init = nnx.initializers.he_normal()
        self.first = nnx.Conv(inputs, outputs, (3, 3), strides=2, kernel_init=init, dtype=dtype, rngs=rngs)
        self.second = nnx.Conv(outputs, outputs, (3, 3), kernel_init=init, dtype=dtype, rngs=rngs)

    def __call__(self, x_BxYxXxC: jax.Array) -> jax.Array:
        added = self.second(nnx.relu(self.first(x_BxYxXxC)))
        way_round = nnx.avg_pool(x_BxYxXxC, (2, 2), strides=(2, 2))
        more_channels = added.shape[-1] - way_round.shape[-1]
        return nnx.relu(added + jnp.pad(way_round, [(0, 0)] * 3 + [(0, more_channels)]))


class ResNet(nnx.Module):
    """Images → their last feature map, [B, side, side, config.channels[-1]], in the compute dtype."""

    def __init__(self, config: PerceptionConfig, dtype: Any, *, rngs: nnx.Rngs) -> None:
        self.dtype = dtype
        self.blocks = nnx.List([Block(*pair, dtype, rngs=rngs) for pair in itertools.pairwise(config.channels)])

    def __call__(self, image_BxYxXx3: jax.Array) -> jax.Array:
        """Colours are uint8, or floats in [0, 1]."""
        x = image_BxYxXx3
        x = (x.astype(jnp.float32) / 255 if x.dtype == jnp.uint8 else x).astype(self.dtype)
        for block in self.blocks:
            x = block(x)
        return x
