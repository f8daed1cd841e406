"""The complete MONet: attention masks first, then all slots through the component VAE at once."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from aloe.perception.monet.attention import UNet, log_masks
from aloe.perception.monet.component import BroadcastDecoder, Encoder
from aloe.perception.monet.config import MonetConfig


class Slots(NamedTuple):
    """An image decomposed into slots, all float32.

    Attributes:
      log_mask_BxNxYxX: log m_k, the attention masks; the m_k sum to 1 over slots.
      mean_BxNxD, log_sigma_BxNxD: parameters of the posterior q(z_k | x, m_k).
      image_BxNxYxXx3: the means of p(x | z_k), in [0, 1].
      log_decoded_BxNxYxX: log m̃_k, the decoder's masks; the m̃_k sum to 1 over slots.
    """

    log_mask_BxNxYxX: jax.Array
    mean_BxNxD: jax.Array
    log_sigma_BxNxD: jax.Array
    image_BxNxYxXx3: jax.Array
    log_decoded_BxNxYxX: jax.Array

    @property
    def mixed_BxYxXx3(self) -> jax.Array:
        """The reconstructed image: Σ_k m_k x̃_k."""
        return jnp.sum(jnp.exp(self.log_mask_BxNxYxX)[..., None] * self.image_BxNxYxXx3, axis=1)


class Monet(nnx.Module):
    """Images → slots."""

    def __init__(self, config: MonetConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        self.attention = UNet(config, rngs=rngs)
        self.encoder = Encoder(config, rngs=rngs)
        self.decoder = BroadcastDecoder(config, rngs=rngs)

    def __call__(self, image_BxYxXx3: jax.Array, noise_BxNxD: jax.Array | None = None) -> Slots:
        """Decomposes images into slots and reconstructs each slot.

        Args:
          image_BxYxXx3: colours in [0, 1].
          noise_BxNxD: standard normal; latents are mean + sigma · noise, so that the gradient of the reconstruction
            reaches sigma. None decodes the means.
        """
        with jax.default_matmul_precision(self.config.matmul_precision):
            log_mask_BxNxYxX, mean_BxNxD, log_sigma_BxNxD = self.encode(image_BxYxXx3)
            latent_BxNxD = mean_BxNxD
            if noise_BxNxD is not None:
                latent_BxNxD = latent_BxNxD + jnp.exp(log_sigma_BxNxD) * noise_BxNxD
            image, logit = self.decoder(latent_BxNxD.reshape(-1, self.config.latent))
        shape = log_mask_BxNxYxX.shape
        return Slots(
            log_mask_BxNxYxX=log_mask_BxNxYxX,
            mean_BxNxD=mean_BxNxD,
            log_sigma_BxNxD=log_sigma_BxNxD,
            image_BxNxYxXx3=image.reshape(*shape, 3),
            log_decoded_BxNxYxX=nnx.log_softmax(logit.reshape(shape), axis=1),
        )

    def encode(self, image_BxYxXx3: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """log_mask_BxNxYxX, mean_BxNxD and log_sigma_BxNxD: all that Aloe needs, without decoding."""
        with jax.default_matmul_precision(self.config.matmul_precision):
            log_mask_BxNxYxX = log_masks(self.attention, image_BxYxXx3, self.config.slots)
            shape = log_mask_BxNxYxX.shape
            # To the VAE, every slot of every example is an example of its own: one long batch.
            repeated = jnp.repeat(image_BxYxXx3, self.config.slots, axis=0)
            mean, log_sigma = self.encoder(repeated, log_mask_BxNxYxX.reshape(-1, *shape[2:]))
        return log_mask_BxNxYxX, mean.reshape(*shape[:2], -1), log_sigma.reshape(*shape[:2], -1)


def colors(image: jax.Array) -> jax.Array:
    """uint8 → float32 in [0, 1], as MONet takes images."""
    return image.astype(jnp.float32) / 255
