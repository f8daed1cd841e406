"""The self-supervised objective: which object latents are hidden, which are predicted, and how the error is measured.

Paper §2.1 and appendix A.2. `masks` has the schemes, `losses` the errors; any scheme works with any error.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from aloe.config import choose
from aloe.errors import InputError
from aloe.objectives import losses, masks


@dataclasses.dataclass(frozen=True)
class Objective:
    """The auxiliary loss of paper §2.1, as assembled by `make`: pure functions, for use under jit and vmap.

    It does not control where its gradient flows: `Aloe.tokens` keeps it from words and CLS.

    Attributes:
      scheme: visible_FxN and target_FxN of one video, from its key (`aloe.objectives.masks`).
      error: error_BxFxN of predicted_BxFxNxD against latents_BxFxNxD (`aloe.objectives.losses`).
    """

    scheme: Callable[[jax.Array], tuple[jax.Array, jax.Array]]
    error: Callable[[jax.Array, jax.Array], jax.Array]

    def masks(self, key_B: jax.Array) -> tuple[jax.Array, jax.Array]:
        """visible_BxFxN and target_BxFxN, each video's drawn with its own key only."""
        return jax.vmap(self.scheme)(key_B)

    def loss(self, predicted_BxFxNxD: jax.Array, latents_BxFxNxD: jax.Array, target_BxFxN: jax.Array) -> jax.Array:
        """Errors summed over each video's targets (paper §2.1): loss_B, float32.

        Its mean is over videos: a mean over targets would make the meaning of λ depend on the number of targets.
        """
        error_BxFxN = self.error(predicted_BxFxNxD, latents_BxFxNxD)
        return jnp.sum(jnp.where(target_BxFxN, error_BxFxN, 0.0), axis=(1, 2))


def make(config: ConfigDict, frames: int, slots: int) -> Objective:
    """The objective that a configuration specifies, for videos of `frames` frames and `slots` slots. Compiles nothing.

    Args:
      config: the configuration's section `objective`.
        mask: "one_object_per_frame", "uniform", "predict_objects", "predict_scenes", "infill_objects" or
          "infill_scenes", schemes a to f of paper figure 2.
        visible: the fraction of objects that "uniform" shows.
        buffer: hidden frames between context and targets, in the predict and infill schemes.
        loss: "l2" or "contrastive".
        negatives: for "contrastive", "sequence" (all objects of the video) or "frame" (those of the target's frame).
        similarity: for "contrastive", "dot" or "cosine".
        temperature: for "contrastive".
        weight: λ, the factor with which the task adds the loss to the others; 0 for none.
      frames, slots: those of a video, as the model takes it.

    Raises:
      InputError: for an unknown choice, suggesting the nearest; a number out of range; fewer frames than the buffer
        needs for a frame of context and a target; a single slot where learning relies on the rest of the frame.
    """
    check(config, frames, slots)
    schemes = {
        "one_object_per_frame": masks.one_object_per_frame,
        "uniform": partial(masks.uniform, visible=config.visible),
        "predict_objects": partial(masks.predict_objects, buffer=config.buffer),
        "predict_scenes": partial(masks.predict_scenes, buffer=config.buffer),
        "infill_objects": partial(masks.infill_objects, buffer=config.buffer),
        "infill_scenes": partial(masks.infill_scenes, buffer=config.buffer),
    }
    contrastive = partial(
        losses.contrastive,
        same_frame=choose("objective.negatives", config.negatives, {"sequence": False, "frame": True}),
        cosine=choose("objective.similarity", config.similarity, {"dot": False, "cosine": True}),
        temperature=config.temperature,
    )
    scheme = choose("objective.mask", config.mask, schemes)
    error = choose("objective.loss", config.loss, {"l2": losses.squared_distance, "contrastive": contrastive})
    return Objective(partial(scheme, frames=frames, slots=slots), error)


def check(config: ConfigDict, frames: int, slots: int) -> None:
    """Raises InputError if a number is out of range, or incompatible with the frames or slots."""
    for field, good, mend in (
        ("visible", 0 < config.visible < 1, "give a share above 0 and below 1"),
        ("buffer", config.buffer >= 0, "give a number of frames, 0 or more"),
        ("temperature", 0 < config.temperature < math.inf, "give a number above 0, such as 1.0"),
        ("weight", 0 <= config.weight < math.inf, "give a number, 0 or more"),
    ):
        if not good:
            raise InputError(f"config.objective.{field} = {config[field]}: {mend}.")
    least = 1 + masks.CONTEXT_SIDES.get(config.mask, 0) * (config.buffer + 1)
    if frames < least:
        raise InputError(
            f"config.objective.buffer = {config.buffer}: {config.mask} needs at least {least} frames for a target with "
            f"context beyond the buffer, and config.model.frames = {frames}; lower the one or raise the other."
        )
    alone = "config.model.slots = 1 leaves a frame no other object"
    if slots == 1 and config.mask == "one_object_per_frame":
        raise InputError(f"config.objective.mask = 'one_object_per_frame': {alone}; take another mask.")
    if slots == 1 and (config.loss, config.negatives) == ("contrastive", "frame"):
        raise InputError(f"config.objective.negatives = 'frame': {alone}; take 'sequence'.")
