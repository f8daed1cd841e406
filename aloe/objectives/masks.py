"""Masking schemes: which objects of a video the transformer sees, and which of the unseen ones it must predict.

A scheme draws `visible_FxN` and `target_FxN` for one video from one key: the paper's m (true where the latent is seen)
and τ (paper §2.1, figure 2). What is neither is in the buffer, or a hidden object that is not a target.

Schemes a and b follow the paper's text. Schemes c to f are our reading of it: §2.1 describes them in one sentence, and
where it splits the video at T it says m = 0 for t < T, which contradicts "context strictly before the targets" and
appendix D. All four have a span of target frames, and `buffer` hidden frames between it and the context.
"""

import jax
import jax.numpy as jnp

# Number of sides of the targets that have context, beyond a buffer.
CONTEXT_SIDES = {"predict_objects": 1, "predict_scenes": 1, "infill_objects": 2, "infill_scenes": 2}


def one_object_per_frame(key: jax.Array, frames: int, slots: int) -> tuple[jax.Array, jax.Array]:
    """Scheme a: in every frame one slot, drawn independently, is hidden and is the target (paper figure 2a, §2.1).

    Returns:
      visible_FxN, target_FxN: booleans; each frame has exactly one target, and the targets are the hidden slots.
    """
    target_FxN = one_slot_per_frame(key, frames, slots)
    return ~target_FxN, target_FxN


def uniform(key: jax.Array, frames: int, slots: int, *, visible: float) -> tuple[jax.Array, jax.Array]:
    """Scheme b: every slot is seen with probability `visible`, and the others are the targets (paper §2.1).

    The fraction is an expectation: a draw may hide several slots of a frame, or, in a very short video, none at all.
    """
    visible_FxN = jax.random.bernoulli(key, visible, (frames, slots))
    return visible_FxN, ~visible_FxN


def predict_objects(key: jax.Array, frames: int, slots: int, *, buffer: int) -> tuple[jax.Array, jax.Array]:
    """Scheme c: like d, with one slot per target frame, drawn independently, as target (our reading of paper §2.1)."""
    span_key, slot_key = jax.random.split(key)
    visible_FxN, scene_FxN = predict_scenes(span_key, frames, slots, buffer=buffer)
    return visible_FxN, scene_FxN & one_slot_per_frame(slot_key, frames, slots)


def predict_scenes(key: jax.Array, frames: int, slots: int, *, buffer: int) -> tuple[jax.Array, jax.Array]:
    """Scheme d: the start of the video is seen; after a hidden buffer, all slots to its end are targets.

    Our reading of paper §2.1 and appendix D. The first target frame is drawn uniformly from all that leave a frame of
    context and a target: `buffer` + 1 to `frames` − 1, counted from 0.
    """
    start = jax.random.randint(key, (), buffer + 1, frames)
    return around_span(start, frames, frames, slots, buffer)


def infill_objects(key: jax.Array, frames: int, slots: int, *, buffer: int) -> tuple[jax.Array, jax.Array]:
    """Scheme e: like f, with one slot per target frame, drawn independently, as target (our reading of paper §2.1)."""
    span_key, slot_key = jax.random.split(key)
    visible_FxN, scene_FxN = infill_scenes(span_key, frames, slots, buffer=buffer)
    return visible_FxN, scene_FxN & one_slot_per_frame(slot_key, frames, slots)


def infill_scenes(key: jax.Array, frames: int, slots: int, *, buffer: int) -> tuple[jax.Array, jax.Array]:
    """Scheme f: both ends of the video are seen; between them, a hidden buffer away from either, all slots are targets.

    Our reading of paper §2.1. The span of target frames is drawn uniformly from all that leave a frame of context at
    each end and a target: its ends are two different positions from `buffer` + 1 to `frames` − 1 − `buffer`.
    """
    places = jnp.arange(buffer + 1, frames - buffer)
    start, stop = jnp.sort(jax.random.choice(key, places, (2,), replace=False))
    return around_span(start, stop, frames, slots, buffer)


def around_span(
    start: jax.Array | int, stop: jax.Array | int, frames: int, slots: int, buffer: int
) -> tuple[jax.Array, jax.Array]:
    """Targets are all slots of frames start ≤ t < stop; those of frames more than `buffer` frames away are seen."""
    frame_F = jnp.arange(frames)
    target_F = (start <= frame_F) & (frame_F < stop)
    visible_F = (frame_F < start - buffer) | (frame_F >= stop + buffer)
    return jnp.repeat(visible_F[:, None], slots, axis=1), jnp.repeat(target_F[:, None], slots, axis=1)


def one_slot_per_frame(key: jax.Array, frames: int, slots: int) -> jax.Array:
    """chosen_FxN: one slot of every frame, each drawn uniformly."""
    return jax.nn.one_hot(jax.random.randint(key, (frames,), 0, slots), slots, dtype=bool)
