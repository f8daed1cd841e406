"""How far a predicted latent f(µ′) is from the true one µ (paper appendix A.2): an error for every object, float32.

Where an object is no target, its error is not counted (`aloe.objectives.Objective.loss`).
"""

import jax
import jax.numpy as jnp

# A squared length below this is that of no vector: it has no direction, and the gradient of a shorter one's direction
# overflows float32.
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
    """The contrastive loss with the variations of appendix A.2, any with any.

    −log [exp(sim(f(µ′_ti), µ_ti) / τ) / Σ_sj exp(sim(f(µ′_ti), µ_sj) / τ)], over the latents of the same video: all
    frames s and slots j, with the true one among them, whether seen or hidden. With temperature the paper prints the
    numerator as exp(·)/τ, and each term of the denominator as exp(·/τ); the first is a misprint, as both stand
    for the same term of a softmax.

    Args:
      predicted_BxFxNxD: f(µ′), what the model makes of the objects.
      latents_BxFxNxD: µ, the true latents, which the model may not have seen.
      same_frame: whether the sum is over the slots of the target's frame alone (s = t).
      cosine: whether sim is the cosine of the angle between the two and not their dot product. A vector of length 0 has
        the cosine 0 with every other, and no gradient.
      temperature: τ, above 0.

    Returns:
      error_BxFxN, float32, at least 0. All pairs are formed, [B, F·N, F·N] or with `same_frame` [B, F, N, N], and
      once more for the gradient: of 256 videos of 25 × 8 objects 82 MB in all, of 80 × 8 objects 0.84 GB.
    """
    shape = latents_BxFxNxD.shape
    # S objects are held against each other: those of a frame, or of the video.
    rivals = (-1, *shape[2:]) if same_frame else (-1, shape[1] * shape[2], shape[3])
    predicted_GxSxD = predicted_BxFxNxD.astype(jnp.float32).reshape(rivals)
    latents_GxSxD = latents_BxFxNxD.astype(jnp.float32).reshape(rivals)
    if cosine:
        predicted_GxSxD, latents_GxSxD = direction(predicted_GxSxD), direction(latents_GxSxD)
    pairs_GxSxS = jnp.einsum("gpd,gsd->gps", predicted_GxSxD, latents_GxSxD, precision="highest") / temperature
    true_GxS = jnp.diagonal(pairs_GxSxS, axis1=1, axis2=2)
    return (jax.nn.logsumexp(pairs_GxSxS, axis=-1) - true_GxS).reshape(shape[:-1])


def direction(vectors_GxSxD: jax.Array) -> jax.Array:
    """Vectors at length 1; of those of length 0 zeros, with a gradient of zeros."""
    squared_GxSx1 = jnp.sum(jnp.square(vectors_GxSxD), axis=-1, keepdims=True)
    long_GxSx1 = squared_GxSx1 > ZERO_LENGTH_SQUARED
    # The inner `where` too: the gradient of what the outer one leaves out would be 0 · inf.
    scale_GxSx1 = jnp.where(long_GxSx1, jax.lax.rsqrt(jnp.where(long_GxSx1, squared_GxSx1, 1.0)), 0.0)
    return vectors_GxSxD * scale_GxSx1
