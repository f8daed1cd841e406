"""The oracle encoder: object latents made from the annotations instead of from pixels.

It fills the latents store where no perception has been trained. It stays beside trained perception as a named control
that separates reasoning from perception: a model on these latents sees every object exactly as it is, so what it still
gets wrong is reasoning. It is no baseline of the paper.

A visible object becomes 15 features, position x and y and its colour, shape and material one-hot, each scaled to about
mean 0 and variance 1; a fixed orthonormal map takes them to D numbers. So a feature is a linear function of the latent
and every number of a latent has a variance of about 1. Only what the camera sees takes a slot. The slots of each frame
are in a random order, so that, as with learned object embeddings, a slot says nothing of which object it holds. A slot
without an object holds a fixed vector at a right angle to all objects', plus Gaussian noise: easy to tell from every
object and from the zeros of a masked latent, but never twice the same.
"""

import functools
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from aloe.data.parallel import ordered_map
from aloe.errors import InputError
from aloe.tasks.clevrer import files
from aloe.tasks.clevrer.annotations import COLORS, FRAMES, MATERIALS, SHAPES, Annotation

SLOTS = 8
SIZE = 16
FEATURES = 2 + len(COLORS) + len(SHAPES) + len(MATERIALS)

_VERSION = 1  # raise it when other latents come out; stores of another version are refused
_SEED = 20201215
_POSITION_SCALE = 1.6  # world units; the standard deviation over what the camera sees, some 6 across
_EMPTY_LENGTH = 4.0  # about that of an object, whose one-hot features alone have length sqrt(13)
_EMPTY_NOISE = 0.3


def encode(annotation: Annotation, slots: int = SLOTS, size: int = SIZE) -> np.ndarray:
    """Latents of one video, latents_FxNxD in float32.

    A pure function of the annotation: order and noise of a frame are drawn from (scene index, frame). Of more than
    `slots` visible objects the first in the order of the annotation are kept (`crowded_frames` counts such frames).

    Raises:
      ValueError: `size` is less than FEATURES + 1.
    """
    object_map, empty_D = _projection(size)
    visible_FxO = annotation.visible_FxO & (np.cumsum(annotation.visible_FxO, axis=1) <= slots)
    latents_FxOxD = features(annotation) @ object_map.T

    seeds = np.random.SeedSequence([_SEED, annotation.scene_index]).spawn(2)
    order_random, noise_random = map(np.random.default_rng, seeds)
    shape = (len(visible_FxO), slots, size)
    latents_FxNxD = empty_D + _EMPTY_NOISE * noise_random.standard_normal(shape)
    order_FxN = order_random.random(shape[:2]).argsort(axis=1)
    place_FxO = np.cumsum(visible_FxO, axis=1) - 1  # among the visible objects of the frame
    frame, number = np.nonzero(visible_FxO)
    latents_FxNxD[frame, order_FxN[frame, place_FxO[frame, number]]] = latents_FxOxD[frame, number]
    return latents_FxNxD.astype(np.float32)


def features(annotation: Annotation) -> np.ndarray:
    """What is told of each object, seen or not, features_FxOx15: x, y, colour, shape, material, scaled."""
    named = [
        (COLORS, [entry.color for entry in annotation.objects]),
        (SHAPES, [entry.shape for entry in annotation.objects]),
        (MATERIALS, [entry.material for entry in annotation.objects]),
    ]
    attributes_OxA = np.concatenate([_scaled_one_hot(known, values) for known, values in named], axis=1)
    position_FxOx2 = annotation.location_FxOx3[..., :2] / _POSITION_SCALE
    repeated_FxOxA = np.broadcast_to(attributes_OxA, (len(position_FxOx2), *attributes_OxA.shape))
    return np.concatenate([position_FxOx2, repeated_FxOxA], axis=-1)


def crowded_frames(annotation: Annotation, slots: int = SLOTS) -> int:
    """How many frames show more than `slots` objects, so that some were left out."""
    return int((annotation.visible_FxO.sum(axis=1) > slots).sum())


class Encoder:
    """Encodes the videos of a data folder, as `aloe.perception.fill` wants it.

    Attributes:
      description: what the latents store says of its encoder; the checksum is that of the map.
      frames, slots, size: F, N and D of a video.
    """

    frames = FRAMES
    slots = SLOTS
    size = SIZE

    def __init__(self, root: Path, workers: int | None = None) -> None:
        self.description = {"name": "oracle", "version": _VERSION, "checksum": _checksum(self.size)}
        self._paths = files.find_annotations(root)
        self._workers = workers
        self._crowded: dict[int, int] = {}

    def encode(self, scene_indices: Sequence[int]) -> Iterator[np.ndarray | InputError]:
        """The latents of each video in turn, or what is wrong where its annotation is broken or missing."""
        found = [(index, self._paths.get(index)) for index in scene_indices]
        for index, result in zip(scene_indices, ordered_map(_encode_file, found, self._workers), strict=True):
            if isinstance(result, InputError):
                yield result
            else:
                latents_FxNxD, crowded = result
                if crowded:
                    self._crowded[index] = crowded
                yield latents_FxNxD

    def remarks(self) -> list[str]:
        """What is worth telling after the encoding: videos with more visible objects than slots."""
        if not self._crowded:
            return []
        frames = sum(self._crowded.values())
        return [
            f"{frames} frames of {len(self._crowded)} videos show more than {self.slots} objects; the first "
            f"{self.slots} were kept: scene_index {', '.join(map(str, list(self._crowded)[:10]))}"
            + (", …" if len(self._crowded) > 10 else "")
        ]


def _encode_file(found: tuple[int, Path | None]) -> tuple[np.ndarray, int] | InputError:
    index, path = found
    if path is None:
        return InputError(f"no annotation_{index:05d}.json anywhere in the data folder; unpack its archive anew")
    try:
        annotation = files.read_annotation(path)
    except InputError as error:
        return error
    return encode(annotation), crowded_frames(annotation)


@functools.cache
def _projection(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The map from features to latents [D, FEATURES] with orthonormal columns, and the empty vector [D]."""
    if size < FEATURES + 1:
        raise ValueError(f"latents of size {size}: the oracle needs at least {FEATURES + 1}")
    # RandomState, for its stream is frozen: stores must agree over versions of numpy.
    orthonormal, upper = np.linalg.qr(np.random.RandomState(_SEED).standard_normal((size, size)))
    orthonormal = orthonormal * np.sign(np.diag(upper))  # QR leaves the signs open
    return orthonormal[:, :FEATURES], _EMPTY_LENGTH * orthonormal[:, FEATURES]


def _checksum(size: int) -> str:
    object_map, empty_D = _projection(size)
    return hashlib.sha256(np.column_stack([object_map, empty_D]).round(4).astype("<f4").tobytes()).hexdigest()[:16]


def _scaled_one_hot(known: Sequence[str], values: Sequence[str]) -> np.ndarray:
    """One-hot of shape [values, known], of mean 0 and variance 1 where all of `known` are equally frequent."""
    share = 1 / len(known)
    one_hot = np.array([[value == name for name in known] for value in values], np.float64)
    return (one_hot - share) / np.sqrt(share * (1 - share))
