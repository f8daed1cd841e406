"""The ResNet that is trained together with Aloe: superpixels (paper §3.1) and masked frames (appendix B).

The paper gives its depth alone, for appendix B: 3 blocks of 2 convolutions. The rest is ours: the widths of the ResNets
for small pictures of He et al. (2016), and no normalisation, for the statistics of a batch would tie examples together
and those of a picture are of little worth where nearly all of it is masked.
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from aloe.perception.config import PerceptionConfig


class Block(nnx.Module):
    """Two 3 × 3 convolutions, the first of stride 2, beside a way round them (He et al., 2016).

    The way round has no parameters: the mean of 2 × 2 pixels, and zeros for the channels that are added.
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
    """Pictures → their last feature map, [B, side, side, last of config.channels], in the type of the computation."""

    def __init__(self, config: PerceptionConfig, dtype: Any, *, rngs: nnx.Rngs) -> None:
        self.dtype = dtype
        self.blocks = nnx.List([Block(*pair, dtype, rngs=rngs) for pair in itertools.pairwise(config.channels)])

    def __call__(self, image_BxYxXx3: jax.Array) -> jax.Array:
        """Colours are uint8, or from 0 to 1."""
        x = image_BxYxXx3
        x = (x.astype(jnp.float32) / 255 if x.dtype == jnp.uint8 else x).astype(self.dtype)
        for block in self.blocks:
            x = block(x)
        return x
