"""The attention network α: a U-Net that says what fraction of its remaining scope each pixel gives to the next slot."""

import itertools

import jax
import jax.numpy as jnp
from flax import nnx

from aloe.perception.monet.config import MonetConfig
from aloe.perception.monet.instance_norm import NormalizedReLU


class Block(nnx.Module):
    """A 3 × 3 convolution without bias, instance normalisation with bias, and a ReLU (appendix B.2)."""

    def __init__(self, inputs: int, outputs: int, config: MonetConfig, *, rngs: nnx.Rngs) -> None:
        self.convolution = nnx.Conv(inputs, outputs, (3, 3), use_bias=False, dtype=config.compute_dtype, rngs=rngs)
        self.norm = NormalizedReLU(outputs)

    def __call__(self, x_BxYxXxC: jax.Array) -> jax.Array:
        return self.norm(self.convolution(x_BxYxXxC))


class UNet(nnx.Module):
    """An image and its log scope → one logit per pixel (appendix B.2).

    Blocks go down to 4 × 4 pixels and up again, halving and doubling by nearest neighbour; skip connections feed each
    up block the output of the down block of its size. Three dense layers with ReLUs form the bottleneck.
    """

    def __init__(self, config: MonetConfig, *, rngs: nnx.Rngs) -> None:
        width = config.attention_width
        channels = [width] * 2 + [2 * width] * (config.blocks - 2)
        bottom = 4 * 4 * channels[-1]
        self.config = config
        self.down = nnx.List(
            [Block(*pair, config, rngs=rngs) for pair in itertools.pairwise([4, *channels])],
        )
        sizes = [bottom, config.attention_hidden, config.attention_hidden, bottom]
        self.bottom = nnx.List(
            [nnx.Linear(*pair, dtype=config.compute_dtype, rngs=rngs) for pair in itertools.pairwise(sizes)]
        )
        up = channels[::-1]
        below = [channels[-1], *up]  # channels from the block below, beside those of the skip connection
        self.up = nnx.List(
            [Block(low + own, own, config, rngs=rngs) for low, own in zip(below, up, strict=False)],
        )
        # A 1 × 1 convolution as a dense layer: a matrix product can take bfloat16 and return float32 on all devices.
        self.logit = nnx.Linear(width, 1, dtype=config.compute_dtype, preferred_element_type=jnp.float32, rngs=rngs)

    def __call__(self, image_BxYxXx3: jax.Array, log_scope_BxYxX: jax.Array) -> jax.Array:
        """logit_BxYxX, float32."""
        scope_BxYxXx1 = self.config.shown(log_scope_BxYxX)[..., None].astype(self.config.compute_dtype)
        x = jnp.concatenate([image_BxYxXx3.astype(self.config.compute_dtype), scope_BxYxXx1], axis=-1)
        sides: list[jax.Array] = []
        for block in self.down:
            if sides:
                x = x[:, ::2, ::2]
            x = block(x)
            sides.append(x)
        flat_BxC = x.reshape(len(x), -1)
        for layer in self.bottom:
            flat_BxC = nnx.relu(layer(flat_BxC))
        x = flat_BxC.reshape(x.shape)
        for number, block in enumerate(self.up):
            if number:
                x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
            x = block(jnp.concatenate([x, sides.pop()], axis=-1))
        return self.logit(x)[..., 0].astype(jnp.float32)


def log_masks(network: UNet, image_BxYxXx3: jax.Array, slots: int) -> jax.Array:
    """Masks of all slots by recurrent attention (equations 1 and 2), log_mask_BxNxYxX.

        s_0 = 1,   m_k = s_{k−1} α(x, s_{k−1}),   s_k = s_{k−1} (1 − α(x, s_{k−1})),   m_N = s_{N−1}

    The masks of a pixel sum to 1. The steps are unrolled: a compiled loop would have to stack each residual of all
    steps in one array, copying it in and out, and the U-Net is small enough to compile unrolled.
    """
    log_scope_BxYxX = jnp.zeros(image_BxYxXx3.shape[:-1])
    masks = []
    for _ in range(slots - 1):
        logit_BxYxX = network(image_BxYxXx3, log_scope_BxYxX)
        masks.append(log_scope_BxYxX + nnx.log_sigmoid(logit_BxYxX))
        log_scope_BxYxX = log_scope_BxYxX + nnx.log_sigmoid(-logit_BxYxX)
    return jnp.stack([*masks, log_scope_BxYxX], axis=1)
