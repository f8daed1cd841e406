"""Object latents that are learned together with the transformer, from pixels.

Both make latents_BxFxNxD of what an example shows of its video. Their module is `perception` in the tree of parameters,
the same whatever the task, so that it can be carried over from one run to another (`aloe.training.pretrained`).
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import nnx

from aloe.data.masks import unpack
from aloe.errors import InputError
from aloe.model.config import ModelConfig
from aloe.model.layers import default_init
from aloe.perception.config import MASKED_FRAMES, SUPERPIXELS, PerceptionConfig
from aloe.perception.resnet import ResNet


class Superpixels(nnx.Module):
    """The last feature map of a ResNet over each frame; every place of it is a slot (paper §3.1).

    A dense layer, the same at every place, is the ResNet's last convolution: it makes D channels. Slots are the map's
    places row by row, so their order tells where they are.
    """

    ordered = True

    def __init__(self, config: PerceptionConfig, model: ModelConfig, *, rngs: nnx.Rngs) -> None:
        dtype = model.compute_dtype
        self.remat = model.remat
        self.resnet = ResNet(config, dtype, rngs=rngs)
        self.latents = _to_latents(config.channels[-1], model, rngs)

    def __call__(self, seen: Mapping[str, jax.Array]) -> jax.Array:
        """latents_BxFxNxD, float32, of `image`, [B, F, Y, X, 3] in uint8."""
        image_BxFxYxXx3 = seen["image"]
        batch, frames = image_BxFxYxXx3.shape[:2]

        def pictures(self: Superpixels, image_PxYxXx3: jax.Array) -> jax.Array:
            return self.latents(self.resnet(image_PxYxXx3))

        run = nnx.remat(pictures) if self.remat else pictures
        map_PxYxXxD = run(self, image_BxFxYxXx3.reshape(-1, *image_BxFxYxXx3.shape[2:]))
        return map_PxYxXxD.astype(jnp.float32).reshape(batch, frames, -1, map_PxYxXxD.shape[-1])


class MaskedFrames(nnx.Module):
    """v = f(A · image): a ResNet over each frame with all but one object masked, for every slot (appendix B).

    The masks are given and stay as they are. f is the ResNet and a dense layer on the whole of its last feature map,
    which keeps where the object is. A slot without an object is f of black, a vector that is learned.
    """

    ordered = False

    def __init__(self, config: PerceptionConfig, model: ModelConfig, *, rngs: nnx.Rngs) -> None:
        dtype = model.compute_dtype
        self.remat = model.remat
        self.resnet = ResNet(config, dtype, rngs=rngs)
        self.latents = _to_latents(config.side**2 * config.channels[-1], model, rngs)
        self.slots = model.slots

    def __call__(self, seen: Mapping[str, jax.Array]) -> jax.Array:
        """latents_BxFxNxD, float32, of `image`, [B, F, Y, X, 3] in uint8, and `masks`, as `aloe.data.masks.pack`."""
        image_BxFxYxXx3, masks_BxFxNxYxX = seen["image"], unpack(seen["masks"], self.slots)

        def pictures(self: MaskedFrames, image_BxFxYxXx3: jax.Array, masks_BxFxNxYxX: jax.Array) -> jax.Array:
            # Every slot of every frame is a picture of its own to the ResNet: one long batch.
            masked = jnp.where(masks_BxFxNxYxX[..., None], image_BxFxYxXx3[:, :, None], 0)
            map_PxYxXxC = self.resnet(masked.reshape(-1, *masked.shape[3:]))
            return self.latents(map_PxYxXxC.reshape(len(map_PxYxXxC), -1))

        run = nnx.remat(pictures) if self.remat else pictures
        latents_PxD = run(self, image_BxFxYxXx3, masks_BxFxNxYxX)
        return latents_PxD.astype(jnp.float32).reshape(*masks_BxFxNxYxX.shape[:3], -1)


def make(config: PerceptionConfig, model: ModelConfig, *, rngs: nnx.Rngs) -> Superpixels | MaskedFrames | None:
    """The module that a configuration names; None where latents are stored."""
    if config.kind == SUPERPIXELS:
        return Superpixels(config, model, rngs=rngs)
    return MaskedFrames(config, model, rngs=rngs) if config.kind == MASKED_FRAMES else None


def check_slots(config: PerceptionConfig, model: ModelConfig) -> None:
    """Raises InputError unless the model has a slot for every superpixel."""
    if config.kind == SUPERPIXELS and model.slots != config.side**2:
        raise InputError(
            f"config.model.slots = {model.slots}: {config.blocks} blocks make {config.side}×{config.side} superpixels "
            f"of {config.size}×{config.size} pixels; set config.model.slots={config.side**2}, or "
            "config.perception.blocks."
        )


def _to_latents(inputs: int, model: ModelConfig, rngs: nnx.Rngs) -> nnx.Linear:
    """In float32, for the latents are targets of the auxiliary loss."""
    return nnx.Linear(inputs, model.latent, kernel_init=default_init(inputs), rngs=rngs)
