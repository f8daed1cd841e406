"""What a task draws for its examples, each with the example's own key (see `aloe.training.step`)."""

import jax


def folded(key_B: jax.Array, use: int) -> jax.Array:
    """A key of its own for every use of an example's randomness."""
    return jax.vmap(jax.random.fold_in, (0, None))(key_B, use)


def reordered(key_B: jax.Array, latents_BxFxNxD: jax.Array) -> jax.Array:
    """Slots in an order drawn for each example, the same in all its frames."""
    return jax.vmap(lambda key, latents: jax.random.permutation(key, latents, axis=1))(key_B, latents_BxFxNxD)
