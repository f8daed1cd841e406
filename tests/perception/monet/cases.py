"""A MONet small enough to run in a test, and slots made by hand."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from aloe.perception.monet.config import MonetConfig
from aloe.perception.monet.model import Monet, Slots

SMALL = MonetConfig(
    size=16,
    slots=3,
    latent=5,
    attention_width=4,
    attention_hidden=6,
    component_width=4,
    component_hidden=7,
    dtype="float32",
)


def small_monet(seed=0):
    return Monet(SMALL, rngs=nnx.Rngs(seed))


def pictures(count=2, size=16, seed=0):
    return jax.random.uniform(jax.random.key(seed), (count, size, size, 3))


def random_slots(shape=(2, 3, 4, 5), latent=6, seed=0):
    """Random slots of shape [B, N, Y, X], by default four different lengths, with masks that add up to 1."""
    rng = np.random.default_rng(seed)
    return Slots(
        log_mask_BxNxYxX=nnx.log_softmax(jnp.asarray(3 * rng.normal(size=shape), jnp.float32), axis=1),
        mean_BxNxD=jnp.asarray(rng.normal(size=(*shape[:2], latent)), jnp.float32),
        log_sigma_BxNxD=jnp.asarray(rng.normal(size=(*shape[:2], latent)), jnp.float32),
        image_BxNxYxXx3=jnp.asarray(rng.uniform(size=(*shape, 3)), jnp.float32),
        log_decoded_BxNxYxX=nnx.log_softmax(jnp.asarray(rng.normal(size=shape), jnp.float32), axis=1),
    )


def log_mask_of(slot_BxYxX, number):
    """Log masks with which the given slot wins each pixel."""
    return nnx.log_softmax(30.0 * jax.nn.one_hot(jnp.asarray(slot_BxYxX), number, axis=1), axis=1)
