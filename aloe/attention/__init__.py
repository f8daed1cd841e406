"""Attention with relative positions: one function, whichever path computes it.

`definition` defines it, by brute force. `relative` computes it in plain XLA, `fused` with kernels for NVIDIA GPUs; both
use the algebra of `positions`.
"""

import functools
import logging

import jax
import jax.numpy as jnp

from aloe.attention import fused, relative
from aloe.attention.definition import FORMS

CAPABILITIES = ("8.0", "9.0", "10.0")  # A100, H100 and H200, B200: the GPUs with 160 KB of shared memory or more
PATHS = ("xla", "kernels", "interpreted")  # interpreted: the kernels' programs run as plain XLA, for tests


def relative_attention(
    q_BxTxHxK: jax.Array,
    k_BxTxHxK: jax.Array,
    v_BxTxHxK: jax.Array,
    relative_ExHxK: jax.Array,
    content_bias_HxK: jax.Array,
    position_bias_HxK: jax.Array,
    *,
    form: str = "bidirectional",
    dropout: tuple[float, jax.Array] | None = None,
    return_weights: bool = False,
    path: str | None = None,
) -> tuple[jax.Array, jax.Array | None]:
    """Self-attention over T tokens, as `aloe.attention.definition` defines it.

    Args:
      q_BxTxHxK, k_BxTxHxK, v_BxTxHxK: queries (not yet scaled), keys and values. Matrix products use their type, logits
        and softmax float32.
      relative_ExHxK: weights that turn the sinusoid encoding of a distance (E wide, E even) into a relative key.
        Weights rather than keys, because a path need not form the keys of all distances.
      content_bias_HxK, position_bias_HxK: added to the scaled queries before the products with keys and relative keys.
      form: "bidirectional" or "released".
      dropout: rate, and one typed PRNG key per example, for dropout of the attention weights; None for no dropout.
        Every path uses the same mask.
      return_weights: whether to return the attention weights as well, for analysis.
      path: one of PATHS, for tests and benchmarks; by default the one that `chosen_path` picks.

    Returns:
      Outputs [B, T, H, K]; attention weights [B, H, T, T] (float32, before dropout) if return_weights, else None.

    Raises:
      ValueError: if the form or path is unknown, if the path does not support the arguments, or if shapes do not
        match.
    """
    if form not in FORMS:
        raise ValueError(f"form is {form!r}; it must be one of {', '.join(FORMS)}")
    heads_and_size = q_BxTxHxK.shape[-2:]
    for name, array, fits in (
        ("k", k_BxTxHxK, k_BxTxHxK.shape == q_BxTxHxK.shape),
        ("v", v_BxTxHxK, v_BxTxHxK.shape == q_BxTxHxK.shape),
        ("relative", relative_ExHxK, relative_ExHxK.shape[1:] == heads_and_size and len(relative_ExHxK) % 2 == 0),
        ("content_bias", content_bias_HxK, content_bias_HxK.shape == heads_and_size),
        ("position_bias", position_bias_HxK, position_bias_HxK.shape == heads_and_size),
    ):
        if not fits:
            raise ValueError(f"{name} of shape {array.shape} does not fit queries [B, T, H, K] of {q_BxTxHxK.shape}")
    asked = (form, heads_and_size[1], q_BxTxHxK.dtype, q_BxTxHxK.shape[1], len(relative_ExHxK), return_weights)
    if path is None:
        path = chosen_path(*asked)
        _log_once(path, q_BxTxHxK.shape, str(q_BxTxHxK.dtype), form)
    elif path not in PATHS:
        raise ValueError(f"path is {path!r}; it must be one of {', '.join(PATHS)}")
    elif path != "xla" and (reason := _not_by_kernels(*asked)):
        raise ValueError(f"the path {path!r} cannot be taken: {reason}")

    arguments = (q_BxTxHxK, k_BxTxHxK, v_BxTxHxK, relative_ExHxK, content_bias_HxK, position_bias_HxK)
    if path != "xla":
        return fused.relative_attention(*arguments, dropout=dropout, interpret=path == "interpreted"), None
    return relative.relative_attention(*arguments, form=form, dropout=dropout, return_weights=return_weights)


def chosen_path(form: str, size: int, dtype: jnp.dtype, tokens: int, width: int, return_weights: bool = False) -> str:
    """The path used on this machine's devices, for heads of K = `size`, T = `tokens` and encodings of E = `width`."""
    return "kernels" if _has_gpu() and not _not_by_kernels(form, size, dtype, tokens, width, return_weights) else "xla"


def _not_by_kernels(
    form: str, size: int, dtype: jnp.dtype, tokens: int, width: int, return_weights: bool
) -> str | None:
    """Why the kernels cannot compute it, or None if they can."""
    if form != "bidirectional":
        return f"the form {form!r} is not the kernels'"
    if return_weights:
        return "kernels never have the attention weights as an array"
    if size > fused.LARGEST_SIZE:
        return f"heads of {size} are larger than {fused.LARGEST_SIZE}"
    if dtype not in (jnp.bfloat16, jnp.float32):
        return f"numbers are of type {jnp.dtype(dtype).name}, not bfloat16 or float32"
    if (columns := fused.columns(tokens, width)) > (most := fused.most_columns(size)):
        return f"{tokens} tokens and encodings of {width} need {columns} features, more than {most} for heads of {size}"
    return None


def _has_gpu() -> bool:
    """Whether the devices are GPUs on which the kernels' tiles fit."""
    device = jax.devices()[0]
    return device.platform == "gpu" and getattr(device, "compute_capability", None) in CAPABILITIES


@functools.lru_cache
def _log_once(path: str, shape: tuple[int, ...], dtype: str, form: str) -> None:
    batch, tokens, heads, size = shape
    logging.getLogger(__name__).info(
        "attention by %s: %s form, %d × %d tokens, %d heads of %d, %s", path, form, batch, tokens, heads, size, dtype
    )
