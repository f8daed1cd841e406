"""How far a predicted latent f(µ′) is from the true one µ (paper appendix A.2): an error for every object, float32.

Errors of objects that are not targets are ignored (`aloe.objectives.Objective.loss`).
"""

import jax
import jax.numpy as jnp

# A vector whose squared length is not above this counts as zero: it has no direction, and the gradient of the direction
# of a shorter one overflows float32.
ZERO_LENGTH_SQUARED = 1e-20


def squared_distance(predicted_BxFxNxD: jax.Array, latents_BxFxNxD: jax.Array) -> jax.Array:
    """The L2 loss: squared distance summed over the latent (appendix A.2). Returns error_BxFxN, float32."""
    return jnp.sum(jnp.square(predicted_BxFxNxD.astype(jnp.float32) - latents_BxFxNxD), axis=-1)


def contrastive(
    predicted_BxFxNxD: jax.Array,
    latents_BxFxNxD: jax.Array,
    *,
    same_frame: bool = False,
    cosine: bool = False,
    temperature: float = 1.0,
) -> jax.Array:
    """The contrastive loss with the variations of appendix A.2, in any combination.

    −log [exp(sim(f(µ′_ti), µ_ti) / τ) / Σ_sj exp(sim(f(µ′_ti), µ_sj) / τ)], over the latents of the same video: all
    frames s and slots j, including the true one, whether seen or hidden. With temperature, the paper prints the
    numerator as exp(·)/τ, and each term of the denominator as exp(·/τ); the former is a misprint, as both represent
    the same term of a softmax.

    Args:
      predicted_BxFxNxD: f(µ′), the model's predictions of the objects.
      latents_BxFxNxD: µ, the true latents, which the model may not have seen.
      same_frame: whether the sum is only over the slots of the target's frame (s = t).
      cosine: whether sim is the cosine of the angle between the two instead of their dot product. A vector of length 0
        has cosine 0 with every other, and no gradient.
      temperature: τ, above 0.

    Returns:
      error_BxFxN, float32, at least 0. All pairs are materialized, [B, F·N, F·N] or with `same_frame` [B, F, N, N], and
      once more for the gradient: 82 MB in all for 256 videos of 25 × 8 objects, 0.84 GB for 80 × 8 objects.
    """
    shape = latents_BxFxNxD.shape
    # S objects are compared with each other: those of a frame, or of the video.
    rivals = (-1, *shape[2:]) if same_frame else (-1, shape[1] * shape[2], shape[3])
    predicted_GxSxD = predicted_BxFxNxD.astype(jnp.float32).reshape(rivals)
    latents_GxSxD = latents_BxFxNxD.astype(jnp.float32).reshape(rivals)
    if cosine:
        predicted_GxSxD, latents_GxSxD = direction(predicted_GxSxD), direction(latents_GxSxD)
    pairs_GxSxS = jnp.einsum("gpd,gsd->gps", predicted_GxSxD, latents_GxSxD, precision="highest") / temperature
    true_GxS = jnp.diagonal(pairs_GxSxS, axis1=1, axis2=2)
    return (jax.nn.logsumexp(pairs_GxSxS, axis=-1) - true_GxS).reshape(shape[:-1])


def direction(vectors_GxSxD: jax.Array) -> jax.Array:
    """Vectors scaled to length 1; zeros for those of length 0, with zero gradient."""
    squared_GxSx1 = jnp.sum(jnp.square(vectors_GxSxD), axis=-1, keepdims=True)
    long_GxSx1 = squared_GxSx1 > ZERO_LENGTH_SQUARED
    # The inner `where` is needed too: the gradient of what the outer one discards would be 0 · inf.
    scale_GxSx1 = jnp.where(long_GxSx1, jax.lax.rsqrt(jnp.where(long_GxSx1, squared_GxSx1, 1.0)), 0.0)
    return vectors_GxSxD * scale_GxSx1
