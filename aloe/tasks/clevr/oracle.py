"""The oracle encoder: latents of images made from the scene files instead of pixels.

A control that separates reasoning from perception; it is not a baseline of the paper. Each object becomes 15 features:
how far it is to the right and to the front as seen by the camera, size, colour, material and shape. See
`aloe.perception.feature_map` for how they become latents.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from aloe.errors import InputError
from aloe.perception.feature_map import checksum, place_in_slots, scaled_one_hot
from aloe.tasks.clevr import files
from aloe.tasks.clevr.scenes import Scene
from aloe.tasks.clevr.vocabulary import ATTRIBUTES

SLOTS = 10
SIZE = 16
_PAIRS = ("size", "material")  # attributes with two values, encoded as one number, −1 or 1
FEATURES = 2 + sum(1 if name in _PAIRS else len(values) for name, values in ATTRIBUTES.items())

_VERSION = 1  # increment when the latents change; stores of another version are refused
_POSITION_SCALE = 1.73  # world units; the standard deviation of the uniform distribution from −3 to 3


def encode(scene: Scene, scene_index: int, slots: int = SLOTS, size: int = SIZE) -> np.ndarray:
    """Latents of one image, latents_FxNxD in float32 with F = 1, a pure function of the arguments.

    Raises:
      ValueError: `size` is less than FEATURES + 1.
    """
    features_FxOxA = features(scene)[None]
    visible_FxO = np.ones(features_FxOxA.shape[:2], bool)
    return place_in_slots(features_FxOxA, visible_FxO, slots=slots, size=size, scene_index=scene_index)


def features(scene: Scene) -> np.ndarray:
    """The scaled features of each object, features_Ox15."""
    towards_2x3 = np.stack([scene.directions["right"], scene.directions["front"]])
    columns = [scene.location_Ox3 @ towards_2x3.T / _POSITION_SCALE]
    for name, known in ATTRIBUTES.items():
        told = [getattr(each, name) for each in scene.objects]
        if name in _PAIRS:
            columns.append(np.where(np.array(told) == known[0], -1.0, 1.0)[:, None])
        else:
            columns.append(scaled_one_hot(known, told))
    return np.concatenate(columns, axis=1)


class Encoder:
    """Encodes the images of a data folder, with the interface that `aloe.perception.fill` expects.

    Attributes:
      description: what the latents store records about its encoder; the checksum is that of the feature map.
      frame_numbers: that of the only frame; slots, size: N and D of an image.
    """

    frame_numbers = range(files.FRAMES)
    slots = SLOTS
    size = SIZE

    def __init__(self, root: Path, workers: int | None = None) -> None:
        """All scenes of a split are in one file, which this process reads; `workers` is for other encoders."""
        self.description = {"name": "oracle", "version": _VERSION, "checksum": checksum(FEATURES, self.size)}
        self._root = root

    def encode(self, scene_indices: Sequence[int]) -> Iterator[np.ndarray | InputError]:
        """Yields the latents of each image in turn, or an error where it has no scene or too many objects."""
        for index in scene_indices:
            scene = self._scenes(files.split_of(index)).get(index)
            if scene is None:
                path = files.scenes_path(self._root, files.split_of(index))
                yield InputError(f"{path}: no scene of {files.official_name(index)}; unpack it anew")
            elif len(scene.objects) > SLOTS:
                yield InputError(f"{files.official_name(index)}: {len(scene.objects)} objects, more than {SLOTS}")
            else:
                yield encode(scene, index)

    def remarks(self) -> list[str]:
        return []

    @functools.lru_cache(maxsize=1)  # noqa: B019  # an encoder lives as long as the program that fills a store
    def _scenes(self, split: str) -> Mapping[int, Scene]:
        return files.read_scenes(self._root, split)
