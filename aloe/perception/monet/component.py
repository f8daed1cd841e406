"""The component VAE: what one mask shows of an image → a latent → an image and a mask again (appendix B.1)."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from aloe.perception.monet.config import MonetConfig

LAYERS = 4  # 3 × 3 convolutions of the encoder, and of the decoder


class Encoder(nnx.Module):
    """An image and a log mask → mean and log standard deviation of the latent's posterior, a diagonal Gaussian.

    Four 3 × 3 convolutions with stride 2, then a hidden layer, each with a ReLU, then a linear layer.
    """

    def __init__(self, config: MonetConfig, *, rngs: nnx.Rngs) -> None:
        width, dtype = config.component_width, config.compute_dtype
        channels = [4, width, width, 2 * width, 2 * width]
        self.config = config
        self.convolutions = nnx.List(
            [nnx.Conv(*pair, (3, 3), strides=2, dtype=dtype, rngs=rngs) for pair in itertools.pairwise(channels)]
        )
        side = config.size // 2**LAYERS
        self.hidden = nnx.Linear(side * side * channels[-1], config.component_hidden, dtype=dtype, rngs=rngs)
        self.posterior = nnx.Linear(config.component_hidden, 2 * config.latent, dtype=jnp.float32, rngs=rngs)

    def __call__(self, image_BxYxXx3: jax.Array, log_mask_BxYxX: jax.Array) -> tuple[jax.Array, jax.Array]:
        """mean_BxD and log_sigma_BxD, float32."""
        shown_BxYxXx1 = self.config.shown(log_mask_BxYxX)[..., None]
        x = jnp.concatenate([image_BxYxXx3, shown_BxYxXx1], axis=-1).astype(self.config.compute_dtype)
        for convolution in self.convolutions:
            x = nnx.relu(convolution(x))
        x = nnx.relu(self.hidden(x.reshape(len(x), -1)))
        mean_BxD, log_sigma_BxD = jnp.split(self.posterior(x.astype(jnp.float32)), 2, axis=-1)
        return mean_BxD, log_sigma_BxD


class BroadcastDecoder(nnx.Module):
    """A latent → the means of an image, and the mask's logits, by spatial broadcast (Watters et al., 2019).

    The latent is repeated at every position of a grid, beside the position's two coordinates from −1 to 1. Four 3 × 3
    convolutions without padding, each with a ReLU, remove a border of 4 pixels; a 1 × 1 convolution follows. Means pass
    through a sigmoid, because colours are in [0, 1] (the paper does not say).
    """

    def __init__(self, config: MonetConfig, *, rngs: nnx.Rngs) -> None:
        width, dtype = config.component_width, config.compute_dtype
        channels = [config.latent + 2] + [width] * LAYERS
        self.config = config
        self.convolutions = nnx.List(
            [nnx.Conv(*pair, (3, 3), padding="VALID", dtype=dtype, rngs=rngs) for pair in itertools.pairwise(channels)]
        )
        # The 1 × 1 convolution as a dense layer; see the U-Net's logit.
        self.output = nnx.Linear(width, 4, dtype=dtype, preferred_element_type=jnp.float32, rngs=rngs)

    def __call__(self, latent_BxD: jax.Array) -> tuple[jax.Array, jax.Array]:
        """image_BxYxXx3 in [0, 1] and mask_logit_BxYxX, float32."""
        x = nnx.relu(self.broadcast(latent_BxD))
        for convolution in self.convolutions[1:]:
            x = nnx.relu(convolution(x))
        x = self.output(x).astype(jnp.float32)
        return nnx.sigmoid(x[..., :3]), x[..., 3]

    def broadcast(self, latent_BxD: jax.Array) -> jax.Array:
        """The first convolution over the grid of latent and coordinates.

        Without padding, its response to a constant is the same everywhere: one product with the sum of its taps. So
        the grid of latents, which would be the largest array of the model, is never materialized.
        """
        first, dtype = self.convolutions[0], self.config.compute_dtype
        kernel_3x3xIxO = first.kernel[...]
        bias_O = first.bias
        assert bias_O is not None, "the convolutions have one"
        side = np.linspace(-1, 1, self.config.size + 2 * LAYERS, dtype=np.float32)
        grid_1xYxXx2 = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1)[None]
        latent, places = jnp.split(kernel_3x3xIxO, [self.config.latent], axis=2)
        # In float32: the positions are computed once for all examples, and the sum of the taps is small.
        of_places = jax.lax.conv_general_dilated(
            jnp.asarray(grid_1xYxXx2), places, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        of_latent_BxO = latent_BxD @ jnp.sum(latent, axis=(0, 1)) + bias_O[...]
        return (of_latent_BxO[:, None, None] + of_places).astype(dtype)
