"""A trained MONet as an encoder of videos: the means of its slots' latents, frame by frame."""

import functools
import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from flax import nnx
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from aloe.data.frames import decode
from aloe.data.parallel import ordered_map
from aloe.errors import InputError
from aloe.perception.monet import quality
from aloe.perception.monet.config import MonetConfig
from aloe.perception.monet.model import Monet, colors
from aloe.training import workdir
from aloe.training.checkpoints import Checkpoints
from aloe.training.optimizer import make_optimizer
from aloe.training.state import initial_state
from aloe.training.step import DATA, data_mesh

VIDEOS_AT_ONCE = 8
Made = Callable[[jax.Array, jax.Array], jax.Array]


class Encoder:
    """Encodes videos by the latest checkpoint of a run, as `aloe.perception.fill` wants it, on this host's devices.

    Attributes:
      description: what the latents store says of its encoder; the checksum is that of the parameters.
      frames, slots, size: F, N and D of a video.
    """

    def __init__(self, run: epath.Path, videos: Mapping[int, Path], frames: int, workers: int | None = None) -> None:
        """
        Args:
          run: workdir of the run.
          videos: file by scene index.
          frames: of every video, from the first on.
          workers: processes that decode; by default one a core for many videos, and none for few.

        Raises:
          InputError: there is no such run, it is not of MONet, or it has no checkpoint.
        """
        config = workdir.read(run)
        if config.task != "monet":
            raise InputError(f"{run}: a run of --task={config.task}, not of monet; name the workdir of one that is.")
        self.config = MonetConfig(**config.model)
        self.frames, self.slots, self.size = frames, self.config.slots, self.config.latent
        self.frame_numbers: Sequence[int] = range(frames)
        checkpoints = Checkpoints(run / workdir.CHECKPOINTS, data_mesh(), config.training, read_only=True)
        step = checkpoints.latest()
        if step is None:
            raise InputError(f"{run}: no checkpoint yet; train first, with python launch/train.py --workdir={run}.")
        optimizer = make_optimizer(config.optimizer)
        abstract = jax.eval_shape(lambda: initial_state(Monet(self.config, rngs=nnx.Rngs(0)), optimizer))
        params = checkpoints.restore(abstract).params
        checkpoints.close()
        # Hosts have restored together; from here each goes at its own pace, on its own devices.
        self.mesh = data_mesh(jax.local_devices())
        whole = NamedSharding(self.mesh, P())
        self.params = jax.tree.map(lambda leaf: jax.device_put(leaf.addressable_data(0), whole), params)
        sizes = {"picture": self.config.size, "slots": self.slots, "latent": self.size}
        self.description = {"name": "monet", "step": step, "checksum": checksum(self.params), **sizes}
        self._step = encoding_step(self.config, self.mesh, means)
        self._videos = videos
        self._workers = workers
        self._encoded, self._full = 0, 0

    def encode(self, scene_indices: Sequence[int]) -> Iterator[np.ndarray | InputError]:
        """The latents of each video in turn, or what is wrong where its file is broken or missing."""
        read = functools.partial(decode, frame_numbers=self.frame_numbers, size=self.config.size)
        decoded = ordered_map(read, [(index, self._videos.get(index)) for index in scene_indices], self._workers)
        # While the devices encode some videos, the next are decoded and the last are taken.
        ahead: list[tuple[list[np.ndarray | InputError], Any]] = []
        while videos := list(itertools.islice(decoded, VIDEOS_AT_ONCE)):
            ahead.append((videos, self._dispatch([video for video in videos if not isinstance(video, InputError)])))
            if len(ahead) > 1:
                yield from self._taken(*ahead.pop(0))
        for each in ahead:
            yield from self._taken(*each)

    def _dispatch(self, videos: Sequence[np.ndarray]) -> Any:
        """Has whole videos encoded, padded to a number of frames that is always the same; nothing for none."""
        if not videos:
            return None
        frames = np.zeros((VIDEOS_AT_ONCE * self.frames, *videos[0].shape[1:]), np.uint8)
        frames[: len(videos) * self.frames] = np.concatenate(videos)
        padding = -len(frames) % self.mesh.size
        padded = np.pad(frames, [(0, padding)] + [(0, 0)] * 3)
        return self._step(self.params, jax.device_put(padded, NamedSharding(self.mesh, P(DATA))))

    def _taken(self, videos: Sequence[np.ndarray | InputError], dispatched: Any) -> Iterator[np.ndarray | InputError]:
        whole = iter(())
        if dispatched is not None:
            made_Bx, used_B = map(np.asarray, dispatched)
            good = sum(not isinstance(video, InputError) for video in videos)
            whole = iter(made_Bx[: good * self.frames].reshape(good, self.frames, *made_Bx.shape[1:]))
            self._encoded += good * self.frames
            self._full += int(np.sum(used_B[: good * self.frames] >= self.slots))
        for video in videos:
            yield video if isinstance(video, InputError) else next(whole)

    def remarks(self) -> list[str]:
        """What is worth telling after the encoding: frames that use all slots, which may have wanted more."""
        if not self._full:
            return []
        return [
            f"{self._full} of {self._encoded} frames use all {self.slots} slots; if they show more objects than that, "
            "with the background, some share a slot"
        ]


class MaskEncoder(Encoder):
    """As `Encoder`, of the masks of some frames: packed_FxYxXxG, each pixel that of the slot which has most of it."""

    def __init__(
        self, run: epath.Path, videos: Mapping[int, Path], frame_numbers: Sequence[int], workers: int | None = None
    ) -> None:
        """`frame_numbers` of every video; else as `Encoder`."""
        super().__init__(run, videos, len(frame_numbers), workers)
        self.frame_numbers = frame_numbers
        self._step = encoding_step(self.config, self.mesh, packed_masks)


def encoding_step(config: MonetConfig, mesh: jax.sharding.Mesh, made: Made) -> jax.stages.Wrapped:
    """Builds the jitted (parameters, frames in uint8) → (what is made of them, slots used by each frame).

    Sharded over frames. Args: config, mesh: of the run; made: of log_mask_BxNxYxX and mean_BxNxD, one row a frame.
    """
    graphdef = nnx.split(nnx.eval_shape(lambda: Monet(config, rngs=nnx.Rngs(0))), nnx.Param)[0]

    def encode(params: Any, image_BxYxXx3: jax.Array) -> tuple[jax.Array, jax.Array]:
        log_mask_BxNxYxX, mean_BxNxD, _ = nnx.merge(graphdef, params).encode(colors(image_BxYxXx3))
        return made(log_mask_BxNxYxX, mean_BxNxD), quality.of_masks(log_mask_BxNxYxX)["slots_used"]

    return jax.jit(jax.shard_map(encode, mesh=mesh, in_specs=(P(), P(DATA)), out_specs=P(DATA)))


def means(log_mask_BxNxYxX: jax.Array, mean_BxNxD: jax.Array) -> jax.Array:
    return mean_BxNxD


def packed_masks(log_mask_BxNxYxX: jax.Array, mean_BxNxD: jax.Array) -> jax.Array:
    """packed_BxYxXxG, as `aloe.data.masks` stores them: each pixel that of the slot which has most of it."""
    slot_BxYxX = jnp.argmax(log_mask_BxNxYxX, axis=1)
    of_slot_BxYxXxN = slot_BxYxX[..., None] == jnp.arange(log_mask_BxNxYxX.shape[1])
    return jnp.packbits(of_slot_BxYxXxN, axis=-1, bitorder="little")


def checksum(params: Any) -> str:
    """Of the values of all parameters, in the order of their paths."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(params):
        digest.update(np.asarray(jax.device_get(leaf), jnp.float32.dtype).tobytes())
    return digest.hexdigest()[:16]
