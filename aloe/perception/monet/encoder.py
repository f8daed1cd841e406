"""A trained MONet as a video encoder: the means of its slots' latents, or its masks, frame by frame."""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from aloe.data.frames import decode, spread, usual_sizes
from aloe.data.parallel import ordered_map
from aloe.errors import InputError
from aloe.perception.monet import quality
from aloe.perception.monet.config import MonetConfig
from aloe.perception.monet.model import Monet, colors
from aloe.perception.monet.pictures import strips
from aloe.perception.monet.trained import Trained
from aloe.training.step import DATA, data_mesh

FRAMES_AT_ONCE = 1024  # per host, in whole videos: enough that accelerators do not wait for dispatch
CPU_FRAMES_AT_ONCE = 8  # per device: their activations stay in its cache, which is four times as fast as 512
SHOWN = 8  # videos in a picture
Made = Callable[[jax.Array, jax.Array], jax.Array]


def means(log_mask_BxNxYxX: jax.Array, mean_BxNxD: jax.Array) -> jax.Array:
    return mean_BxNxD


def packed_masks(log_mask_BxNxYxX: jax.Array, mean_BxNxD: jax.Array) -> jax.Array:
    """packed_BxYxXxG, as `aloe.data.masks` stores them: each pixel belongs to the slot whose mask is the largest."""
    slot_BxYxX = jnp.argmax(log_mask_BxNxYxX, axis=1)
    of_slot_BxYxXxN = slot_BxYxX[..., None] == jnp.arange(log_mask_BxNxYxX.shape[1])
    return jnp.packbits(of_slot_BxYxXxN, axis=-1, bitorder="little")


class Encoder:
    """Encodes videos with a trained MONet, as an encoder for `aloe.perception.fill`, on this host's devices.

    Attributes:
      description: what the latents store records about its encoder; the checksum is that of the parameters.
      frame_numbers: numbers of the F frames; slots, size: N and D of a video.
      videos_at_once: how many are encoded together, always the same.
      mesh, params, step: the devices, the parameters replicated over them, and the program, see `encoding_step`.
    """

    def __init__(
        self,
        trained: Trained,
        videos: Mapping[int, Path],
        frame_numbers: Sequence[int],
        workers: int | None = None,
        made: Made = means,
    ) -> None:
        """
        Args:
          trained: the MONet.
          videos: files by scene index.
          frame_numbers: which frames of every video, ascending.
          workers: processes that decode; by default one per core for many videos, and none for few.
          made: what to output for each frame: `means`, or `packed_masks`.
        """
        self.config, self.description = trained.config, trained.description
        self.frame_numbers, self.slots, self.size = tuple(frame_numbers), self.config.slots, self.config.latent
        # Hosts have restored together; from here on each works at its own pace, on its own devices.
        self.mesh = data_mesh(jax.local_devices())
        self.videos_at_once = max(1, frames_at_once(self.mesh) // len(self.frame_numbers))
        self.params = jax.device_put(trained.params, NamedSharding(self.mesh, P()))
        self.step = encoding_step(self.config, self.mesh, made)
        self._videos = videos
        self._workers = workers
        self._encoded, self._full = 0, 0

    def encode(self, scene_indices: Sequence[int]) -> Iterator[np.ndarray | InputError]:
        """Yields the output for each video in turn, or what is wrong if its file is broken or missing."""
        read = functools.partial(
            decode, frame_numbers=self.frame_numbers, size=self.config.size, usual=self._usual_sizes
        )
        decoded = ordered_map(read, [(index, self._videos.get(index)) for index in scene_indices], self._workers)
        # While the devices encode some videos, the next are decoded and the results of the last are yielded.
        ahead: list[tuple[list[np.ndarray | InputError], Any]] = []
        while videos := list(itertools.islice(decoded, self.videos_at_once)):
            ahead.append((videos, self.dispatch([video for video in videos if not isinstance(video, InputError)])))
            if len(ahead) > 1:
                yield from self._taken(*ahead.pop(0))
        for each in ahead:
            yield from self._taken(*each)

    @functools.cached_property
    def _usual_sizes(self) -> dict[Path, tuple[int, int]]:
        return usual_sizes(self._videos)

    def dispatch(self, videos: Sequence[np.ndarray]) -> tuple[jax.Array, jax.Array] | None:
        """Starts encoding up to `videos_at_once` videos, each frames_FxYxXx3 in uint8; None for none.

        Returns:
          The output for every frame, and how many slots it uses, with rows for the padding of `on_devices`; the
          devices are still computing it.
        """
        return self.step(self.params, self.on_devices(videos)) if videos else None

    def on_devices(self, videos: Sequence[np.ndarray]) -> jax.Array:
        """The frames of some videos, sharded over the devices, padded to a number that is always the same."""
        whole, full = sum(map(len, videos)), self.videos_at_once * len(self.frame_numbers)
        padded_BxYxXx3 = np.empty((full + -full % self.mesh.size, *videos[0].shape[1:]), np.uint8)
        np.concatenate(videos, out=padded_BxYxXx3[:whole])
        padded_BxYxXx3[whole:] = 0
        return jax.device_put(padded_BxYxXx3, NamedSharding(self.mesh, P(DATA)))

    def _taken(self, videos: Sequence[np.ndarray | InputError], dispatched: Any) -> Iterator[np.ndarray | InputError]:
        whole = iter(())
        if dispatched is not None:
            made_Bx, used_B = map(np.asarray, dispatched)
            good, of_video = sum(not isinstance(video, InputError) for video in videos), len(self.frame_numbers)
            whole = iter(made_Bx[: good * of_video].reshape(good, of_video, *made_Bx.shape[1:]))
            self._encoded += good * of_video
            self._full += int(np.sum(used_B[: good * of_video] >= self.slots))
        for video in videos:
            yield video if isinstance(video, InputError) else next(whole)

    def picture(self, scene_indices: Sequence[int]) -> np.ndarray | None:
        """What becomes of a frame from the middle of some of these videos, one row each, see `pictures.strips`.

        Videos that cannot be read have no row; None if that is all of them.
        """
        indices = [scene_indices[place] for place in spread(len(scene_indices), min(SHOWN, len(scene_indices)))]
        middle = self.frame_numbers[len(self.frame_numbers) // 2]
        found = [(index, self._videos.get(index)) for index in indices]
        decoded = [decode(each, [middle], self.config.size, self._usual_sizes) for each in found]
        images = [image_1xYxXx3 for image_1xYxXx3 in decoded if not isinstance(image_1xYxXx3, InputError)]
        if not images:
            return None
        graphdef = structure(self.config)

        def shown(params: Any, image_BxYxXx3: jax.Array) -> jax.Array:
            return strips(colors(image_BxYxXx3), nnx.merge(graphdef, params)(colors(image_BxYxXx3)))

        return np.concatenate(jax.jit(shown)(self.params, np.concatenate(images)), axis=0)

    def remarks(self) -> list[str]:
        """Remarks to print after the encoding: how many frames use all slots, and may have needed more."""
        if not self._full:
            return []
        return [
            f"{self._full} of {self._encoded} frames use all {self.slots} slots; if they show more objects than that, "
            "with the background, some share a slot"
        ]


def frames_at_once(mesh: jax.sharding.Mesh) -> int:
    """How many frames are best encoded together on these devices."""
    return CPU_FRAMES_AT_ONCE * mesh.size if mesh.devices.flat[0].platform == "cpu" else FRAMES_AT_ONCE


def encoding_step(config: MonetConfig, mesh: jax.sharding.Mesh, made: Made) -> jax.stages.Wrapped:
    """Builds the jitted (parameters, frames in uint8) → (output for each frame, slots used by each frame).

    Sharded over frames. Args: config, mesh: of the run; made: log_mask_BxNxYxX, mean_BxNxD → one row per frame.
    """
    graphdef = structure(config)

    def encode(params: Any, image_BxYxXx3: jax.Array) -> tuple[jax.Array, jax.Array]:
        log_mask_BxNxYxX, mean_BxNxD, _ = nnx.merge(graphdef, params).encode(colors(image_BxYxXx3))
        return made(log_mask_BxNxYxX, mean_BxNxD), quality.of_masks(log_mask_BxNxYxX)["slots_used"]

    return jax.jit(jax.shard_map(encode, mesh=mesh, in_specs=(P(), P(DATA)), out_specs=P(DATA)))


def structure(config: MonetConfig) -> nnx.GraphDef:
    """The graph definition of a MONet, to be merged with its parameters."""
    return nnx.split(nnx.eval_shape(lambda: Monet(config, rngs=nnx.Rngs(0))), nnx.Param)[0]
