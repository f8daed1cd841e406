"""Shared by the tests of all paths: arguments, gradients, distances, programs for GPUs.

KERNELS is the path by which kernels run here: natively on a GPU (`make gpu`), otherwise interpreted, in plain XLA.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh, AxisType

from aloe.attention import definition, relative_attention
from aloe.attention.dropout import kept_mask

ARGUMENTS = range(6)
KERNELS = "kernels" if jax.default_backend() == "gpu" else "interpreted"
needs_two_devices = pytest.mark.skipif(len(jax.devices()) < 2, reason="one device")


def draw(tokens, heads, size, batch=2, seed=0, width=None):
    """Arguments of attention and a cotangent of its output, in float64; encodings are `width` wide, or heads · size."""
    rng = np.random.default_rng(seed)
    q, k, v, cotangent = rng.standard_normal((4, batch, tokens, heads, size))
    width = width or heads * size
    relative = rng.standard_normal((width, heads, size)) / np.sqrt(width / 2)
    return (q, k, v, relative, *0.2 * rng.standard_normal((2, heads, size))), cotangent


def dropout_for(batch, rate):
    """The `dropout` argument of attention for `batch` examples; None if the rate is 0."""
    return (rate, jax.random.split(jax.random.key(0), batch)) if rate else None


def defined(dropout, tokens, heads, **options):
    """The definition, with the mask that `dropout` draws."""
    if dropout is None:
        return functools.partial(definition.relative_attention, **options)
    rate, keys_B = dropout
    kept = np.asarray(kept_mask(keys_B, rate, (heads, tokens, tokens)))
    return functools.partial(definition.relative_attention, kept_BxHxTxT=kept, kept_share=1 - rate, **options)


def value_and_gradients(arguments, cotangent, dtype, *, attention=relative_attention, **options):
    """The output and the gradients of its product with the cotangent, computed in `dtype` and returned in float64."""

    def product(*arguments):
        out, _ = attention(*arguments, **options)
        return jnp.sum(out * cotangent.astype(dtype), dtype=jnp.promote_types(dtype, jnp.float32)), out

    arguments = [jnp.asarray(argument, dtype) for argument in arguments]
    (_, out), gradients = jax.jit(jax.value_and_grad(product, ARGUMENTS, has_aux=True))(*arguments)
    return np.asarray(out, np.float64), [np.asarray(gradient, np.float64) for gradient in gradients]


def exact_value_and_gradients(arguments, cotangent, **options):
    """The same, computed by plain XLA in float64, which test_relative.py compares with the definition."""
    with jax.enable_x64(True):
        return value_and_gradients(arguments, cotangent, jnp.float64, path="xla", **options)


def distance(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def worst(actual, expected):
    return np.abs(actual - expected).max() / np.abs(expected).max()


def gpu_mesh(**axes):
    """A mesh of GPUs that need not be present."""
    if not hasattr(jax.sharding, "AbstractDevice"):
        pytest.skip("this JAX knows no abstract devices")
    device = jax.sharding.AbstractDevice(device_kind="NVIDIA H200", num_cores=132, platform="gpu")
    types = (AxisType.Auto,) * len(axes)
    return AbstractMesh(tuple(axes.values()), tuple(axes), axis_types=types, abstract_device=device)


def lowered_for_a_gpu(function, *arguments):
    """The program lowered for a GPU that need not be present, with the kernels lowered to Triton."""
    with jax.sharding.use_abstract_mesh(gpu_mesh()):
        return jax.jit(function).trace(*arguments).lower(lowering_platforms=("cuda",)).as_text()
