"""The self-supervised objective: which object latents are hidden, which are predicted, and how the error is measured.

Paper §2.1 and appendix A.2. `visible` is the paper's m (1 = the transformer sees the latent), `target` its τ.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

MaskScheme = Callable[[jax.Array, int, int], tuple[jax.Array, jax.Array]]


def one_object_per_frame(key: jax.Array, frames: int, slots: int) -> tuple[jax.Array, jax.Array]:
    """Scheme a: in every frame one slot, drawn anew, is hidden and is the target (paper figure 2a, §2.1).

    Returns:
      visible_FxN, target_FxN: booleans; each frame has exactly one target, and the targets are the hidden slots.
    """
    hidden_F = jax.random.randint(key, (frames,), 0, slots)
    target_FxN = jax.nn.one_hot(hidden_F, slots, dtype=bool)
    return ~target_FxN, target_FxN


MASK_SCHEMES: dict[str, MaskScheme] = {"one_object_per_frame": one_object_per_frame}


def squared_distance(predicted_BxFxNxD: jax.Array, latents_BxFxNxD: jax.Array) -> jax.Array:
    """The L2 loss: squared distance summed over the latent (appendix A.2). Returns error_BxFxN, float32."""
    return jnp.sum(jnp.square(predicted_BxFxNxD.astype(jnp.float32) - latents_BxFxNxD), axis=-1)


def auxiliary_loss(predicted_BxFxNxD: jax.Array, latents_BxFxNxD: jax.Array, target_BxFxN: jax.Array) -> jax.Array:
    """Errors summed over each video's targets (paper §2.1): loss_B. Its mean is over videos, not over targets."""
    error_BxFxN = squared_distance(predicted_BxFxNxD, latents_BxFxNxD)
    return jnp.sum(jnp.where(target_BxFxN, error_BxFxN, 0.0), axis=(1, 2))
