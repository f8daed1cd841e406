"""How well pictures are taken apart: numbers of each frame, and what they say of a whole split.

Those that compare with exact masks are NaN for frames that have none. A slot *wins* the pixels where its mask is the
largest. Objects of a frame are those with at least `SEEN` of its pixels in view.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

USED = 0.001  # share of the pixels that a slot must win to be in use: 4 of 64 × 64
SEEN = 0.002  # share of the pixels of an object in view: 8 of 64 × 64
MAX_OBJECTS = 16  # of a frame


def of_masks(log_mask_BxNxYxX: jax.Array) -> dict[str, jax.Array]:
    """What the masks themselves tell, by frame.

    `mask_entropy`, of a pixel's masks, as a share of log N; `slots_used`, their number; `largest_slot`, the share of
    the pixels that one slot wins.
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
    """What exact masks tell, by frame.

    `foreground_ari`, NaN where fewer than two objects are in view; `in_background`, the share of the objects' pixels
    that are won by slots most of whose pixels are background; `objects`, how many are in view; `alike` and `unlike`,
    pairs of objects in view of the same and of another colour; `alike_merged` and `unlike_merged`, those of them that
    have most of their pixels in one slot, which is no background.

    Args:
      log_mask_BxNxYxX: of the frames.
      object_BxYxX: the object that each pixel shows, −1 for none.
      color_BxO: a number for the colour of each of MAX_OBJECTS objects; of those that there are not it is no matter.
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
    """How alike two partitions are (Hubert and Arabie, 1985): 1 for the same, about 0 for chance.

    Args:
      shared_BxOxN: elements that part o of the one and part n of the other have in common.

    Returns:
      ari_B; NaN where both partitions are trivial: of one part, or nothing but parts of one.
    """

    def pairs(count: jax.Array) -> jax.Array:
        return count * (count - 1) / 2

    together_B = jnp.sum(pairs(shared_BxOxN), axis=(1, 2))
    of_O_B = jnp.sum(pairs(jnp.sum(shared_BxOxN, axis=2)), axis=1)
    of_N_B = jnp.sum(pairs(jnp.sum(shared_BxOxN, axis=1)), axis=1)
    expected_B = of_O_B * of_N_B / pairs(jnp.sum(shared_BxOxN, axis=(1, 2)))
    return (together_B - expected_B) / ((of_O_B + of_N_B) / 2 - expected_B)


def summary(by_frame: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Means over the frames of a split; of merged pairs, the share of all pairs. What no frame has is left out."""
    known = {name: values[~np.isnan(values)] for name, values in by_frame.items()}
    means = {name: float(values.mean()) for name, values in known.items() if values.size}
    for kind in ("alike", "unlike"):
        merged, pairs = means.pop(f"{kind}_merged", 0.0), means.pop(kind, 0.0)
        if pairs:
            means[f"{kind}_merged"] = merged / pairs
    return means
