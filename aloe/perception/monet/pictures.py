"""Pictures of what MONet makes of frames."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np

from aloe.perception.monet.model import Slots
from aloe.perception.monet.quality import winner


def strips(image_BxYxXx3: jax.Array, slots: Slots) -> jax.Array:
    """One row per frame, strip_BxYx(3 + N)Xx3 in uint8.

    From left to right: the frame, its reconstruction, a colour for the slot that wins each pixel, and each slot's part
    m_k x̃_k of the reconstruction, on grey.
    """
    number = slots.log_mask_BxNxYxX.shape[1]
    palette_Nx3 = np.array([colorsys.hsv_to_rgb(k / number, 0.8 if k else 0.0, 0.9) for k in range(number)], np.float32)
    mask_BxNxYxXx1 = jnp.exp(slots.log_mask_BxNxYxX)[..., None]
    parts_BxNxYxXx3 = mask_BxNxYxXx1 * slots.image_BxNxYxXx3 + (1 - mask_BxNxYxXx1) * 0.5
    panels = [image_BxYxXx3, slots.mixed_BxYxXx3, jnp.asarray(palette_Nx3)[winner(slots.log_mask_BxNxYxX)]]
    panels += [parts_BxNxYxXx3[:, k] for k in range(number)]
    return jnp.round(255 * jnp.clip(jnp.concatenate(panels, axis=2), 0, 1)).astype(jnp.uint8)
