"""What all towers are built of: a Linear of the configured type, its initial scales, dropout by example."""

import jax
import jax.numpy as jnp
from flax import nnx

from aloe.attention.dropout import DropoutKeys, dropout
from aloe.model.config import ModelConfig


def linear(
    config: ModelConfig, inputs: int, outputs: int, init: nnx.Initializer, *, rngs: nnx.Rngs, use_bias: bool = True
) -> nnx.Linear:
    """Computes in the configured type; parameters are float32, and the bias begins at zero."""
    return nnx.Linear(
        inputs,
        outputs,
        use_bias=use_bias,
        kernel_init=init,
        dtype=config.compute_dtype,
        param_dtype=jnp.float32,
        rngs=rngs,
    )


def default_init(inputs: int) -> nnx.Initializer:
    """Of a Linear in Sonnet 1: a normal of deviation 1/sqrt(inputs), cut off at twice that (and so narrower)."""
    return nnx.initializers.truncated_normal(inputs**-0.5)


def scaled_init(scale: float) -> nnx.Initializer:
    """A normal of deviation sqrt(scale / inputs), cut off; a scale of 2 keeps the size of what a ReLU lets through."""
    return nnx.initializers.variance_scaling(scale, "fan_in", "truncated_normal")


def drop(x_BxTxE: jax.Array, config: ModelConfig, keys: DropoutKeys | None, place: int) -> jax.Array:
    """Dropout at the configured rate, with the keys of one place among split ones; without keys, none."""
    return x_BxTxE if keys is None else dropout(x_BxTxE, config.dropout, keys.at(place).examples_B)
