"""How well images are decomposed: metrics of each frame, and their summary for a whole split.

Metrics that compare with exact masks are NaN for frames that have none. A slot *wins* the pixels where its mask is the
largest. The objects in view of a frame are those that show on at least a fraction `SEEN` of its pixels.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

USED = 0.001  # fraction of the pixels that a slot must win to be in use: more than 4 of 64 × 64
SEEN = 0.002  # fraction of the pixels that an object in view must have: more than 8 of 64 × 64
MAX_OBJECTS = 16  # per frame


def of_masks(log_mask_BxNxYxX: jax.Array) -> dict[str, jax.Array]:
    """Metrics of the masks alone, per frame.

    `mask_entropy`, the entropy of a pixel's masks as a fraction of log N; `slots_used`, how many slots are in use;
    `largest_slot`, the largest fraction of the pixels that one slot wins.
    """
    number = log_mask_BxNxYxX.shape[1]
    entropy_BxYxX = -jnp.sum(jnp.exp(log_mask_BxNxYxX) * log_mask_BxNxYxX, axis=1)
    won_BxN = jnp.mean(jax.nn.one_hot(winner(log_mask_BxNxYxX), number), axis=(1, 2))
    return {
        "mask_entropy": jnp.mean(entropy_BxYxX, axis=(1, 2)) / np.log(number),
        "slots_used": jnp.sum(won_BxN >= USED, axis=1).astype(jnp.float32),
        "largest_slot": jnp.max(won_BxN, axis=1),
    }


def winner(log_mask_BxNxYxX: jax.Array) -> jax.Array:
    """The slot whose mask is the largest, slot_BxYxX."""
    return jnp.argmax(log_mask_BxNxYxX, axis=1)


def beside_exact(log_mask_BxNxYxX: jax.Array, object_BxYxX: jax.Array, color_BxO: jax.Array) -> dict[str, jax.Array]:
    """Metrics against exact masks, per frame.

    `foreground_ari`, NaN if fewer than two objects are in view; `in_background`, the fraction of the objects' pixels
    won by slots most of whose pixels are background; `objects`, how many are in view; `alike` and `unlike`, pairs of
    objects in view with the same colour and with different colours; `alike_merged` and `unlike_merged`, those pairs
    for which the same slot, not a background one, wins the most pixels of both objects.

    Args:
      log_mask_BxNxYxX: log masks of the frames.
      object_BxYxX: the object that each pixel shows, −1 for none.
      color_BxO: the colour of each of MAX_OBJECTS objects as a number; entries beyond the actual objects are ignored.
    """
    number, pixels = log_mask_BxNxYxX.shape[1], object_BxYxX[0].size
    slot_BxPxN = jax.nn.one_hot(winner(log_mask_BxNxYxX).reshape(-1, pixels), number)
    object_BxPxO = jax.nn.one_hot(object_BxYxX.reshape(-1, pixels), MAX_OBJECTS)  # −1 is none of them
    shared_BxOxN = jnp.einsum("bpo,bpn->bon", object_BxPxO, slot_BxPxN, precision="highest")
    won_BxN, foreground_BxN = jnp.sum(slot_BxPxN, axis=1), jnp.sum(shared_BxOxN, axis=1)
    is_background_BxN = foreground_BxN < 0.5 * won_BxN
    lost_B = jnp.sum(foreground_BxN * is_background_BxN, axis=1)

    area_BxO = jnp.sum(object_BxPxO, axis=1)
    seen_BxO = area_BxO >= SEEN * pixels
    pair_BxOxO = seen_BxO[:, :, None] & seen_BxO[:, None] & np.triu(np.ones((MAX_OBJECTS, MAX_OBJECTS), bool), 1)
    alike_BxOxO = pair_BxOxO & (color_BxO[:, :, None] == color_BxO[:, None])
    main_BxO = jnp.argmax(shared_BxOxN, axis=-1)
    in_object_BxO = ~jnp.take_along_axis(is_background_BxN, main_BxO, axis=1)
    merged_BxOxO = (main_BxO[:, :, None] == main_BxO[:, None]) & in_object_BxO[:, :, None]
    pairs = {
        "alike": alike_BxOxO,
        "unlike": pair_BxOxO & ~alike_BxOxO,
        "alike_merged": alike_BxOxO & merged_BxOxO,
        "unlike_merged": pair_BxOxO & ~alike_BxOxO & merged_BxOxO,
    }
    objects_B = jnp.sum(seen_BxO, axis=1)
    return {
        "foreground_ari": jnp.where(objects_B >= 2, adjusted_rand_index(shared_BxOxN), jnp.nan),
        "in_background": lost_B / jnp.sum(area_BxO, axis=1),
        "objects": objects_B.astype(jnp.float32),
    } | {name: jnp.sum(pair, axis=(1, 2)).astype(jnp.float32) for name, pair in pairs.items()}


def adjusted_rand_index(shared_BxOxN: jax.Array) -> jax.Array:
    """The similarity of two partitions (Hubert and Arabie, 1985): 1 for the same, about 0 by chance.

    Args:
      shared_BxOxN: number of elements that part o of one partition and part n of the other have in common.

    Returns:
      ari_B; NaN where both partitions are trivial: a single part, or only parts of one element.
    """

    def pairs(count: jax.Array) -> jax.Array:
        return count * (count - 1) / 2

    together_B = jnp.sum(pairs(shared_BxOxN), axis=(1, 2))
    of_O_B = jnp.sum(pairs(jnp.sum(shared_BxOxN, axis=2)), axis=1)
    of_N_B = jnp.sum(pairs(jnp.sum(shared_BxOxN, axis=1)), axis=1)
    expected_B = of_O_B * of_N_B / pairs(jnp.sum(shared_BxOxN, axis=(1, 2)))
    return (together_B - expected_B) / ((of_O_B + of_N_B) / 2 - expected_B)


def summary(by_frame: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Means over the frames of a split; for merged pairs, their fraction of all pairs. All-NaN metrics are left out."""
    known = {name: values[~np.isnan(values)] for name, values in by_frame.items()}
    means = {name: float(values.mean()) for name, values in known.items() if values.size}
    for kind in ("alike", "unlike"):
        merged, pairs = means.pop(f"{kind}_merged", 0.0), means.pop(kind, 0.0)
        if pairs:
            means[f"{kind}_merged"] = merged / pairs
    return means
