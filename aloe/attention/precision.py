"""Precision, given explicitly to each product of a custom gradient so that float32 means float32.

The passes of a custom gradient may be traced outside the scope of `jax.default_matmul_precision`.
"""

import jax
import jax.numpy as jnp


def precision_of(dtype: jnp.dtype) -> jax.lax.Precision | None:
    """Precision of products of arrays of `dtype`: full float32 for float32, the device's default for others."""
    return jax.lax.Precision.HIGHEST if dtype == jnp.float32 else None
