"""Hierarchical attention: between the objects within each frame, then between whole frames (paper, section 2)."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from aloe.attention.dropout import DropoutKeys
from aloe.model.config import ModelConfig
from aloe.model.layers import default_init, linear, scaled_init
from aloe.model.transformer import Transformer


class FrameProjection(nnx.Module):
    """Projects CLS and words (D + 2 wide) and frames (N·D wide), by a map each, to one sequence [B, 1 + W + F, E]."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        init = scaled_init(2.0)
        self.language = linear(config, config.token, config.width, init, rngs=rngs)
        self.frames = linear(config, config.slots * config.latent, config.width, init, rngs=rngs)

    def __call__(self, inputs: tuple[jax.Array, jax.Array]) -> jax.Array:
        language_BxTxP, frames_BxFxND = inputs
        return jnp.concatenate([self.language(language_BxTxP), self.frames(frames_BxFxND)], axis=1)


class HierarchicalTransformer(nnx.Module):
    """Two transformers, in the paper's words:

        out = transformer1(reshape(objects, [B * F, N, D]))
        out = transformer2(reshape(out, [B, F, N * D]))

    The paper does not say where words and CLS go, nor how wide the second transformer is. Here they join the second, in
    front of the frames, and both are as wide as global attention, so that the parameter counts are about the same: a
    linear map reduces the first's output for each object back to D numbers. An output of the second that represents a
    frame represents its N objects: f maps it to N·D numbers, which are split among them.
    """

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.width = config.width
        self.objects_per_output = config.slots

        def part(layers: int) -> ModelConfig:
            return dataclasses.replace(config, architecture="transformer", layers=layers)

        self.within_frames = Transformer(part(config.first_layers), rngs=rngs, tokens=config.slots)
        self.object_map = linear(config, config.width, config.latent, default_init(config.width), rngs=rngs)
        self.between_frames = Transformer(
            part(config.layers - config.first_layers),
            rngs=rngs,
            projection=FrameProjection(config, rngs=rngs),
            tokens=1 + config.words + config.frames,
        )

    def __call__(self, tokens_BxTxP: jax.Array, keys: DropoutKeys | None = None) -> jax.Array:
        within_keys = between_keys = None
        if keys is not None:
            stages = keys.split(2)
            within_keys, between_keys = of_frames(stages.at(0), self.config.frames), stages.at(1)
        objects = self.config.frames * self.config.slots
        frames_BxFxND = self.frames(tokens_BxTxP[:, -objects:], within_keys)
        return self.between_frames((tokens_BxTxP[:, :-objects], frames_BxFxND), between_keys)

    def frames(self, objects_BxFNxP: jax.Array, keys: DropoutKeys | None = None) -> jax.Array:
        """Frames [B, F, N·D] as input of the second transformer, from the objects and keys per frame."""
        config = self.config
        slots_BFxNxP = objects_BxFNxP.reshape(-1, config.slots, config.token)
        latents_BFxNxD = self.object_map(self.within_frames(slots_BFxNxP, keys))
        return latents_BFxNxD.reshape(-1, config.frames, config.slots * config.latent)


def of_frames(keys: DropoutKeys, frames: int) -> DropoutKeys:
    """Keys for every frame as an example of its own, B·F in all."""
    examples_BxF = jax.vmap(lambda key: jax.random.split(key, frames))(keys.examples_B)
    return DropoutKeys(examples_BxF.reshape(-1), keys.step)
