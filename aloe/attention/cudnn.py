"""Relative attention on NVIDIA GPUs by cuDNN's fused kernels, which know nothing of relative positions.

They need not: a position logit is a product of a feature of the query and one of the key (`relative`), so features are
put beside queries and keys, and one product of vectors of K + R numbers gives the whole logit.
"""

import jax
import jax.numpy as jnp

from aloe.attention import relative

WIDEST = 256  # of a head, on Hopper; 128 before
_HIDDEN = -3e4  # the logit of a key that is padding


def fits(tokens: int, width: int, size: int) -> bool:
    """Whether heads of `size` with their position features are narrow enough."""
    return _padded(size + len(relative.interpolation(tokens, width)[0]) + 1) <= WIDEST


def relative_attention(
    q_BxTxHxK: jax.Array,
    k_BxTxHxK: jax.Array,
    v_BxTxHxK: jax.Array,
    relative_ExHxK: jax.Array,
    content_bias_HxK: jax.Array,
    position_bias_HxK: jax.Array,
) -> jax.Array:
    """As `aloe.attention.relative_attention`, in the bidirectional form, without dropout, in bfloat16 or float16."""
    _, tokens, _, size = q_BxTxHxK.shape
    dtype = q_BxTxHxK.dtype
    q = q_BxTxHxK * size**-0.5
    features_BxTxHxR, weights_TxR = relative.position_features(q + position_bias_HxK.astype(dtype), relative_ExHxK)
    weights_BxTxHxR = jnp.broadcast_to(weights_TxR[:, None].astype(dtype), features_BxTxHxR.shape)
    one_BxTxHx1 = jnp.ones_like(q[..., :1])  # meets the mask of padded keys

    def padded(*parts: jax.Array, mask: float = 0.0) -> jax.Array:
        """The parts of a head side by side, with zeros, and tokens of zeros but for the mask."""
        x = jnp.concatenate(parts, axis=-1)
        lanes = _padded(size + weights_TxR.shape[1] + 1) - x.shape[-1]
        x = jnp.pad(x, ((0, 0), (0, _padded(tokens) - tokens), (0, 0), (0, lanes)))
        return x.at[:, tokens:, :, size + weights_TxR.shape[1]].set(mask) if mask else x

    out = jax.nn.dot_product_attention(
        padded(q + content_bias_HxK.astype(dtype), features_BxTxHxR, one_BxTxHx1),
        padded(k_BxTxHxK, weights_BxTxHxR, mask=_HIDDEN),
        padded(v_BxTxHxK),
        scale=1.0,
        implementation="cudnn",
    )
    return out[:, :tokens, :, :size]


def _padded(size: int) -> int:
    return -(-size // 8) * 8
