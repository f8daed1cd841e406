"""Maps features of known objects to latents: what the tasks' oracle encoders share.

An oracle encodes the annotations of a video's objects instead of its pixels. Features are scaled to about mean 0 and
variance 1; a fixed orthonormal map takes them to D numbers, so that a feature is a linear function of the latent and
every number of a latent has a variance of about 1. Only visible objects take a slot. The slots of each frame are in
random order, so that, as with learned object embeddings, a slot says nothing about which object it holds. A slot
without an object holds a fixed vector orthogonal to those of all objects, plus Gaussian noise: easy to tell from every
object and from the zeros of a masked latent, but never the same twice.
"""

import functools
import hashlib
from collections.abc import Sequence

import numpy as np

_SEED = 20201215
_EMPTY_LENGTH = 4.0  # about the norm of an object, whose one-hot features alone have norm sqrt(13)
_EMPTY_NOISE = 0.3


def place_in_slots(
    features_FxOxA: np.ndarray, visible_FxO: np.ndarray, *, slots: int, size: int, scene_index: int
) -> np.ndarray:
    """Returns the latents of one video, latents_FxNxD in float32.

    A pure function of its arguments: order and noise of a frame depend on the scene index and the frame alone.

    Args:
      features_FxOxA: features of each object, visible or not.
      visible_FxO: which objects are visible. If more than `slots` are, the first ones are kept.
      slots, size: N and D.
      scene_index: the video's scene index.

    Raises:
      ValueError: `size` is less than the number of features plus one.
    """
    object_map_DxA, empty_D = projection(features_FxOxA.shape[-1], size)
    visible_FxO = visible_FxO & (np.cumsum(visible_FxO, axis=1) <= slots)
    latents_FxOxD = features_FxOxA @ object_map_DxA.T

    seeds = np.random.SeedSequence([_SEED, scene_index]).spawn(2)
    order_random, noise_random = map(np.random.default_rng, seeds)
    shape = (len(visible_FxO), slots, size)
    latents_FxNxD = empty_D + _EMPTY_NOISE * noise_random.standard_normal(shape)
    order_FxN = order_random.random(shape[:2]).argsort(axis=1)
    place_FxO = np.cumsum(visible_FxO, axis=1) - 1  # rank among the visible objects of the frame
    frame, number = np.nonzero(visible_FxO)
    latents_FxNxD[frame, order_FxN[frame, place_FxO[frame, number]]] = latents_FxOxD[frame, number]
    return latents_FxNxD.astype(np.float32)


@functools.cache
def projection(features: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The map from features to latents, [D, A] with orthonormal columns, and the empty slot's vector [D]."""
    if size < features + 1:
        raise ValueError(f"latents of size {size}: {features} features need at least {features + 1}")
    # RandomState, because its stream is frozen: stores must agree across versions of NumPy.
    orthonormal, upper = np.linalg.qr(np.random.RandomState(_SEED).standard_normal((size, size)))
    orthonormal = orthonormal * np.sign(np.diag(upper))  # QR does not determine the signs
    return orthonormal[:, :features], _EMPTY_LENGTH * orthonormal[:, features]


def checksum(features: int, size: int) -> str:
    """Checksum of the map, by which a latents store tells it from others."""
    object_map_DxA, empty_D = projection(features, size)
    return hashlib.sha256(np.column_stack([object_map_DxA, empty_D]).round(4).astype("<f4").tobytes()).hexdigest()[:16]


def scaled_one_hot(known: Sequence[str], values: Sequence[str]) -> np.ndarray:
    """One-hot encoding of shape [values, known], with mean 0 and variance 1 if all of `known` are equally frequent."""
    share = 1 / len(known)
    one_hot = np.array([[value == name for name in known] for value in values], np.float64)
    return (one_hot - share) / np.sqrt(share * (1 - share))
