"""What all towers are built from: a Linear of the configured type, its initializers, per-example dropout."""

import jax
import jax.numpy as jnp
from flax import nnx

from aloe.attention.dropout import DropoutKeys, dropout
from aloe.model.config import ModelConfig


def linear(
    config: ModelConfig, inputs: int, outputs: int, init: nnx.Initializer, *, rngs: nnx.Rngs, use_bias: bool = True
) -> nnx.Linear:
    """Computes in the configured type; parameters are float32, and the bias is initialized to zero."""
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
    """Sonnet 1's default for Linear: a normal of std 1/sqrt(inputs), truncated at twice that (and so narrower)."""
    return nnx.initializers.truncated_normal(inputs**-0.5)


def scaled_init(scale: float) -> nnx.Initializer:
    """A truncated normal of std sqrt(scale / inputs); scale 2 preserves magnitudes through a ReLU."""
    return nnx.initializers.variance_scaling(scale, "fan_in", "truncated_normal")


def drop(x_BxTxE: jax.Array, config: ModelConfig, keys: DropoutKeys | None, place: int) -> jax.Array:
    """Dropout at the configured rate, with the split keys of one site; without keys, no dropout."""
    return x_BxTxE if keys is None else dropout(x_BxTxE, config.dropout, keys.at(place).examples_B)
