"""That float32 means float32 is said at each product of a custom gradient.

Its passes may be traced where they do not see `jax.default_matmul_precision`.
"""

import jax
import jax.numpy as jnp


def precision_of(dtype: jnp.dtype) -> jax.lax.Precision | None:
    """For products of numbers of a type: all of float32, and the device's own choice for others."""
    return jax.lax.Precision.HIGHEST if dtype == jnp.float32 else None
