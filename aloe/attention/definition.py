"""The one definition of relative attention: brute force, float64, numpy. Every faster path is tested against it."""

import numpy as np

FORMS = ("bidirectional", "released")


def frequencies(width: int) -> np.ndarray:
    """The angular frequencies 10000^(-2m / width) of the sinusoids, m = 0 .. width/2 - 1, in radians per token."""
    return 10000.0 ** (-2 * np.arange(width // 2) / width)


def sinusoids(distances: np.ndarray, width: int) -> np.ndarray:
    """Encodings [*distances, width] of distances in tokens: all sines, then all cosines (halves, not interleaved)."""
    angles = np.asarray(distances, np.float64)[..., None] * frequencies(width)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)


def relative_attention(
    q_BxTxHxK: np.ndarray,
    k_BxTxHxK: np.ndarray,
    v_BxTxHxK: np.ndarray,
    relative_ExHxK: np.ndarray,
    content_bias_HxK: np.ndarray,
    position_bias_HxK: np.ndarray,
    *,
    form: str = "bidirectional",
    kept_BxHxTxT: np.ndarray | None = None,
    kept_share: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Attention whose logits are the sum of a content product and a product of a query with a relative position.

    With queries divided by sqrt(K), relative keys r(d) = sinusoids(d) · relative, and i the query's token, j the key's:

    * content logit: (q_i + content_bias) · k_j;
    * position logit, bidirectional: (q_i + position_bias) · r(i − j), for distances of either sign;
    * position logit, released: the same for j ≤ i, but 0 for j = i + 1, and beyond that
      (q_{i+1} + position_bias) · r(T + 1 − (j − i)). This is how the shift of the released code wraps around: it was
      made for causal attention, and is used without the causal mask.

    Source: Dai et al., 2019 (Transformer-XL), section 3.3; for the released form, the released code.

    Args:
      form: one of FORMS.
      kept_BxHxTxT: for dropout of the attention weights: True where a weight is kept.
      kept_share: the fraction kept on average, by which kept weights are divided.

    Returns:
      Outputs [B, T, H, K] and the attention weights [B, H, T, T] before dropout, float64.
    """
    q, k, v, relative, content_bias, position_bias = (
        np.asarray(array, np.float64)
        for array in (q_BxTxHxK, k_BxTxHxK, v_BxTxHxK, relative_ExHxK, content_bias_HxK, position_bias_HxK)
    )
    batch, tokens, heads, size = q.shape
    q = q / np.sqrt(size)

    def relative_key_HxK(distance: int) -> np.ndarray:
        return np.einsum("e,ehk->hk", sinusoids(np.array(distance), len(relative)), relative)

    def position_logit_BxH(i: int, j: int) -> np.ndarray:
        if form == "bidirectional" or j <= i:
            row, distance = i, i - j
        elif j == i + 1:
            return np.zeros((batch, heads))
        else:
            row, distance = i + 1, tokens + 1 - (j - i)
        return np.einsum("bhk,hk->bh", q[:, row] + position_bias, relative_key_HxK(distance))

    logits = np.zeros((batch, heads, tokens, tokens))
    for i in range(tokens):
        for j in range(tokens):
            content_logit_BxH = np.einsum("bhk,bhk->bh", q[:, i] + content_bias, k[:, j])
            logits[:, :, i, j] = content_logit_BxH + position_logit_BxH(i, j)

    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    used = weights if kept_BxHxTxT is None else np.where(kept_BxHxTxT, weights / kept_share, 0.0)
    return np.einsum("bhij,bjhk->bihk", used, v), weights
