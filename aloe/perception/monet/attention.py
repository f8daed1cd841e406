"""The attention network α: a U-Net that says which share of what is left each pixel gives to the next slot."""

import itertools

import jax
import jax.numpy as jnp
from flax import nnx

from aloe.perception.monet.config import MonetConfig
from aloe.perception.monet.instance_norm import NormalizedReLU


class Block(nnx.Module):
    """A 3 × 3 convolution without bias, instance normalisation with one, and a ReLU (appendix B.2)."""

    def __init__(self, inputs: int, outputs: int, config: MonetConfig, *, rngs: nnx.Rngs) -> None:
        self.convolution = nnx.Conv(inputs, outputs, (3, 3), use_bias=False, dtype=config.compute_dtype, rngs=rngs)
        self.norm = NormalizedReLU(outputs)

    def __call__(self, x_BxYxXxC: jax.Array) -> jax.Array:
        return self.norm(self.convolution(x_BxYxXxC))


class UNet(nnx.Module):
    """A picture and its logarithmic scope → one logit a pixel (appendix B.2).

    Blocks go down to 4 × 4 pixels and up again, halving and doubling by nearest neighbour; each block up also sees what
    the block down of its size gave. Three dense layers with ReLUs are the way at the bottom.
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
        below = [channels[-1], *up]  # what comes from below, beside as much as comes from the side
        self.up = nnx.List(
            [Block(low + own, own, config, rngs=rngs) for low, own in zip(below, up, strict=False)],
        )
        # A 1 × 1 convolution is a dense layer; a matrix product is what can take bfloat16 and give float32 everywhere.
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

    The masks of a pixel add up to 1. The steps are unrolled: a loop of the compiler would have to keep what the
    gradient needs of every step in one array for each, copying it in and out, and the U-Net is small to compile.
    """
    log_scope_BxYxX = jnp.zeros(image_BxYxXx3.shape[:-1])
    masks = []
    for _ in range(slots - 1):
        logit_BxYxX = network(image_BxYxXx3, log_scope_BxYxX)
        masks.append(log_scope_BxYxX + nnx.log_sigmoid(logit_BxYxX))
        log_scope_BxYxX = log_scope_BxYxX + nnx.log_sigmoid(-logit_BxYxX)
    return jnp.stack([*masks, log_scope_BxYxX], axis=1)
