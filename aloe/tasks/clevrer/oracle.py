"""The oracle encoder: object latents made from the annotations instead of from pixels.

It fills the latents store where no perception has been trained. Alongside trained perception it remains a named control
that separates reasoning from perception: a model on these latents sees every object exactly as it is, so its remaining
errors are errors of reasoning. It is not a baseline of the paper.

A visible object becomes 15 features: position x and y, and one-hot colour, shape and material.
`aloe.perception.feature_map` maps them to latents.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from aloe.data.parallel import ordered_map
from aloe.errors import InputError
from aloe.perception.feature_map import checksum, place_in_slots, scaled_one_hot
from aloe.tasks.clevrer import files
from aloe.tasks.clevrer.annotations import COLORS, FRAMES, MATERIALS, SHAPES, Annotation

SLOTS = 8
SIZE = 16
FEATURES = 2 + len(COLORS) + len(SHAPES) + len(MATERIALS)

_VERSION = 1  # increment it when the latents change; stores of another version are refused
_POSITION_SCALE = 1.6  # world units; the standard deviation over what the camera sees, about 6 across


def encode(annotation: Annotation, slots: int = SLOTS, size: int = SIZE) -> np.ndarray:
    """Latents of one video, latents_FxNxD in float32.

    A pure function of the annotation: a frame's slot order and noise depend only on (scene index, frame). If more than
    `slots` objects are visible, the first in annotation order are kept (`crowded_frames` counts such frames).

    Raises:
      ValueError: `size` is less than FEATURES + 1.
    """
    return place_in_slots(
        features(annotation), annotation.visible_FxO, slots=slots, size=size, scene_index=annotation.scene_index
    )


def features(annotation: Annotation) -> np.ndarray:
    """Scaled features of each object, visible or not, features_FxOx15: x, y, colour, shape, material."""
    named = [
        (COLORS, [entry.color for entry in annotation.objects]),
        (SHAPES, [entry.shape for entry in annotation.objects]),
        (MATERIALS, [entry.material for entry in annotation.objects]),
    ]
    attributes_OxA = np.concatenate([scaled_one_hot(known, values) for known, values in named], axis=1)
    position_FxOx2 = annotation.location_FxOx3[..., :2] / _POSITION_SCALE
    repeated_FxOxA = np.broadcast_to(attributes_OxA, (len(position_FxOx2), *attributes_OxA.shape))
    return np.concatenate([position_FxOx2, repeated_FxOxA], axis=-1)


def crowded_frames(annotation: Annotation, slots: int = SLOTS) -> int:
    """How many frames show more than `slots` objects, so that some were dropped."""
    return int((annotation.visible_FxO.sum(axis=1) > slots).sum())


class Encoder:
    """Encodes the videos of a data folder, as `aloe.perception.fill` expects.

    Attributes:
      description: how the latents store identifies its encoder; the checksum is that of the projection.
      frame_numbers: those of the F frames; slots, size: N and D of a video.
    """

    frame_numbers = range(FRAMES)
    slots = SLOTS
    size = SIZE

    def __init__(self, root: Path, workers: int | None = None) -> None:
        self.description = {"name": "oracle", "version": _VERSION, "checksum": checksum(FEATURES, self.size)}
        self._paths = files.find_annotations(root)
        self._workers = workers
        self._crowded: dict[int, int] = {}

    def encode(self, scene_indices: Sequence[int]) -> Iterator[np.ndarray | InputError]:
        """Yields the latents of each video in turn, or the error where its annotation is broken or missing."""
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
        """Notes to report after encoding: videos with more visible objects than slots."""
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
