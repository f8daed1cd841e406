"""The three terms of MONet's loss (equation 3), in nats, summed over each image, one value per example.

loss = reconstruction + β · latent + γ · mask
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from aloe.perception.monet.model import Slots


def reconstruction(
    image_BxYxXx3: jax.Array, slots: Slots, background_sigma: float, foreground_sigma: float
) -> jax.Array:
    """−log p(x | z): every pixel is a mixture over slots, weighted by the attention masks.

        −Σ_pixels log Σ_k m_k N(x; x̃_k, σ_k² I)

    The three colours of a pixel belong to the same slot. The first slot has σ_background, the others σ_foreground:
    where σ_background is the smaller standard deviation, the background is best left to the first slot.
    """
    slots_N = slots.log_mask_BxNxYxX.shape[1]
    sigma_N = np.array([background_sigma] + [foreground_sigma] * (slots_N - 1), np.float32)
    sigma_Nx1x1 = sigma_N[:, None, None]
    squared_BxNxYxX = jnp.sum((image_BxYxXx3[:, None] - slots.image_BxNxYxXx3) ** 2, axis=-1)
    log_density_BxNxYxX = (
        -0.5 * squared_BxNxYxX / sigma_Nx1x1**2 - 3 * np.log(sigma_Nx1x1) - 1.5 * math.log(2 * math.pi)
    )
    log_mixture_BxYxX = jax.nn.logsumexp(slots.log_mask_BxNxYxX + log_density_BxNxYxX, axis=1)
    return -jnp.sum(log_mixture_BxYxX, axis=(1, 2))


def latent_divergence(slots: Slots) -> jax.Array:
    """D_KL(Π_k q(z_k | x, m_k) ‖ p(z)) for a standard normal prior.

    Σ_{k,d} ½ (μ² + σ² − 1) − log σ
    """
    mean, log_sigma = slots.mean_BxNxD, slots.log_sigma_BxNxD
    return jnp.sum(0.5 * (mean**2 + jnp.exp(2 * log_sigma) - 1) - log_sigma, axis=(1, 2))


def mask_divergence(slots: Slots) -> jax.Array:
    """D_KL(q(c | x) ‖ p(c | z)): from the attention masks to the decoder's, over the slots c of each pixel.

    Σ_pixels Σ_k m_k (log m_k − log m̃_k)
    """
    log_mask = slots.log_mask_BxNxYxX
    return jnp.sum(jnp.exp(log_mask) * (log_mask - slots.log_decoded_BxNxYxX), axis=(1, 2, 3))
