"""Attention with relative positions: one function, whatever path computes it.

`definition` says what it is, in brute force; `relative` computes it in plain XLA, `cudnn` on NVIDIA's GPUs.
"""

import jax
import jax.numpy as jnp

from aloe.attention import cudnn, relative
from aloe.attention.definition import FORMS


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
) -> tuple[jax.Array, jax.Array | None]:
    """Self-attention over T tokens, as `aloe.attention.definition` defines it.

    Args:
      q_BxTxHxK, k_BxTxHxK, v_BxTxHxK: queries (not yet scaled), keys and values; the products are in their type, logits
        and softmax in float32.
      relative_ExHxK: the weights that turn a sinusoid encoding of a distance (E wide, E even) into a relative key. The
        weights and not the keys, because a path need not ever form the keys of all distances.
      content_bias_HxK, position_bias_HxK: added to the scaled queries before they meet keys and relative keys.
      form: "bidirectional" or "released".
      dropout: rate, and one typed PRNG key per example, for dropout of the attention weights; None for none.
      return_weights: whether to return the attention weights too, for analysis.

    Returns:
      Outputs [B, T, H, K], and with return_weights the attention weights [B, H, T, T] (float32, before dropout).

    Raises:
      ValueError: on an unknown form, or on shapes that do not fit together.
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
    if (
        jax.default_backend() == "gpu"
        and form == "bidirectional"
        and dropout is None
        and not return_weights
        and q_BxTxHxK.dtype == jnp.bfloat16
        and cudnn.fits(q_BxTxHxK.shape[1], relative_ExHxK.shape[0], q_BxTxHxK.shape[-1])
    ):
        arrays = (q_BxTxHxK, k_BxTxHxK, v_BxTxHxK, relative_ExHxK, content_bias_HxK, position_bias_HxK)
        return cudnn.relative_attention(*arrays), None
    out_BxTxHxK, weights_BxHxTxT = relative.relative_attention(
        q_BxTxHxK,
        k_BxTxHxK,
        v_BxTxHxK,
        relative_ExHxK,
        content_bias_HxK,
        position_bias_HxK,
        form=form,
        dropout=dropout,
    )
    return out_BxTxHxK, weights_BxHxTxT if return_weights else None
