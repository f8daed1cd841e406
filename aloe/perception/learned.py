"""Object latents from pixels, learned jointly with the transformer.

Both kinds compute latents_BxFxNxD from what an example shows of its video. Their module is `perception` in the
parameter tree, whatever the task, so that it can be transferred from one run to another (`aloe.training.pretrained`).
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from flax import nnx

from aloe.data.masks import unpack
from aloe.errors import InputError
from aloe.model.config import ModelConfig
from aloe.model.layers import default_init
from aloe.perception.config import MASKED_FRAMES, SUPERPIXELS, PerceptionConfig
from aloe.perception.resnet import ResNet


class Learned(nnx.Module):
    """What both have in common: each frame is encoded independently of the others.

    With the model's `remat`, frames are processed one after another, each for all videos at once, and recomputed in the
    backward pass: this takes the memory of one frame instead of all of them.
    """

    fields: tuple[str, ...]  # of `seen` that are read
    ordered: bool
    of_frames: Callable[..., jax.Array]  # those fields of P frames → latents_PxNxD in float32

    def __init__(self, config: PerceptionConfig, model: ModelConfig, inputs: int, *, rngs: nnx.Rngs) -> None:
        """`inputs`: those of the dense layer, in float32 because its output is the target of the auxiliary loss."""
        self.resnet = ResNet(config, model.compute_dtype, rngs=rngs)
        self.latents = nnx.Linear(inputs, model.latent, kernel_init=default_init(inputs), rngs=rngs)
        self.slots = model.slots
        self.remat = model.remat

    def __call__(self, seen: Mapping[str, jax.Array]) -> jax.Array:
        """latents_BxFxNxD, float32. Reads `image`, [B, F, Y, X, 3] in uint8, and the other `fields` from `seen`."""
        arrays_BxFx = [jnp.asarray(seen[name]) for name in self.fields]
        if not self.remat:
            latents_PxNxD = self.of_frames(*(array.reshape(-1, *array.shape[2:]) for array in arrays_BxFx))
            return latents_PxNxD.reshape(*arrays_BxFx[0].shape[:2], *latents_PxNxD.shape[1:])
        graphdef, state = nnx.split(self)

        @jax.checkpoint
        def of_frame(arrays_Bx: list[jax.Array]) -> jax.Array:
            return nnx.merge(graphdef, state).of_frames(*arrays_Bx)

        latents_FxBxNxD = jax.lax.map(of_frame, [jnp.swapaxes(array, 0, 1) for array in arrays_BxFx])
        return jnp.swapaxes(latents_FxBxNxD, 0, 1)


class Superpixels(Learned):
    """The last feature map of a ResNet over each frame; every position in it is a slot (paper §3.1).

    A dense layer, shared by all positions, is the ResNet's last convolution and makes D channels. Slots are the map's
    positions row by row, so their order tells where they are.
    """

    fields = ("image",)
    ordered = True

    def __init__(self, config: PerceptionConfig, model: ModelConfig, *, rngs: nnx.Rngs) -> None:
        super().__init__(config, model, config.channels[-1], rngs=rngs)

    def of_frames(self, image_PxYxXx3: jax.Array) -> jax.Array:
        map_PxYxXxD = self.latents(self.resnet(image_PxYxXx3).astype(jnp.float32))
        return map_PxYxXxD.reshape(len(image_PxYxXx3), -1, map_PxYxXxD.shape[-1])


class MaskedFrames(Learned):
    """v = f(A · image): a ResNet over each frame with all but one object masked out, for every slot (appendix B).

    The masks, packed as in `aloe.data.masks`, are given and fixed. f is the ResNet followed by a dense layer on the
    whole of its last feature map, which preserves where the object is. A slot without an object is f of a black image,
    a learned vector.
    """

    fields = ("image", "masks")
    ordered = False

    def __init__(self, config: PerceptionConfig, model: ModelConfig, *, rngs: nnx.Rngs) -> None:
        super().__init__(config, model, config.side**2 * config.channels[-1], rngs=rngs)

    def of_frames(self, image_PxYxXx3: jax.Array, packed_PxYxXxG: jax.Array) -> jax.Array:
        masks_PxNxYxX = unpack(packed_PxYxXxG, self.slots)
        masked_PxNxYxXx3 = jnp.where(masks_PxNxYxX[..., None], image_PxYxXx3[:, None], 0)
        # To the ResNet, every slot of every frame is an image of its own: one long batch.
        map_SxYxXxC = self.resnet(masked_PxNxYxXx3.reshape(-1, *image_PxYxXx3.shape[1:]))
        return self.latents(map_SxYxXxC.reshape(*masks_PxNxYxX.shape[:2], -1).astype(jnp.float32))


def make(config: PerceptionConfig, model: ModelConfig, *, rngs: nnx.Rngs) -> Superpixels | MaskedFrames | None:
    """Builds the module that a configuration names; None if the latents are stored ones."""
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
