"""Random draws of a task for its examples, each with the example's own key (see `aloe.training.step`)."""

import jax


def folded(key_B: jax.Array, use: int) -> jax.Array:
    """A separate key for each use of an example's randomness."""
    return jax.vmap(jax.random.fold_in, (0, None))(key_B, use)


def reordered(key_B: jax.Array, latents_BxFxNxD: jax.Array) -> jax.Array:
    """Permutes the slots of each example at random, in the same way in all its frames."""
    return jax.vmap(lambda key, latents: jax.random.permutation(key, latents, axis=1))(key_B, latents_BxFxNxD)
