"""The oracle encoder: latents of videos computed from the scene files instead of from pixels.

A control that separates reasoning from perception; it is not a baseline of the paper. An object under a cone is not
seen and takes no slot: its position must be inferred from the frames in which it was seen. An object behind another
counts as seen, and positions are those on the table whichever camera filmed them, because scene files do not say where
a moving camera is: to this encoder both cameras are alike. An object becomes 22 features: position, shape, size, colour
and material. `aloe.perception.feature_map` turns them into latents.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from aloe.data.parallel import ordered_map
from aloe.errors import InputError
from aloe.perception.feature_map import checksum, place_in_slots, scaled_one_hot
from aloe.tasks.cater import files
from aloe.tasks.cater.annotations import (
    COLORS,
    FRAMES,
    MATERIALS,
    SHAPES,
    SIZES,
    Annotation,
    covered,
    read_annotation,
)

SLOTS = 8
SIZE = 36
FEATURES = 3 + len(SHAPES) + len(SIZES) + len(COLORS) + len(MATERIALS)

_VERSION = 2  # bump when the latents change; stores of another version are refused
_POSITION_SCALE = (1.73, 1.73, 0.5)  # world units; for x and y, the standard deviation over the table


def encode(annotation: Annotation, scene_index: int, slots: int = SLOTS, size: int = SIZE) -> np.ndarray:
    """Latents of the first 300 frames of one video, latents_FxNxD in float32, a pure function of the arguments.

    If more than `slots` objects are seen, the first in the order of the file are kept; the snitch comes first.

    Raises:
      ValueError: `size` is less than FEATURES + 1.
    """
    return place_in_slots(
        features(annotation)[:FRAMES], seen(annotation), slots=slots, size=size, scene_index=scene_index
    )


def seen(annotation: Annotation) -> np.ndarray:
    """Which objects are not under a cone, visible_FxO, in the first 300 frames."""
    return ~covered(annotation)[:FRAMES]


def features(annotation: Annotation) -> np.ndarray:
    """The scaled features of each object, seen or not, features_FxOx22."""
    named = [
        (SHAPES, [each.shape for each in annotation.objects]),
        (tuple(SIZES), [each.size for each in annotation.objects]),
        (COLORS, [each.color for each in annotation.objects]),
        (MATERIALS, [each.material for each in annotation.objects]),
    ]
    attributes_OxA = np.concatenate([scaled_one_hot(known, values) for known, values in named], axis=1)
    position_FxOx3 = annotation.location_FxOx3 / _POSITION_SCALE
    repeated_FxOxA = np.broadcast_to(attributes_OxA, (len(position_FxOx3), *attributes_OxA.shape))
    return np.concatenate([position_FxOx3, repeated_FxOxA], axis=-1)


class Encoder:
    """Encodes the videos of a data folder; implements `aloe.perception.fill.Encoder`.

    Attributes:
      description: how the latents store describes its encoder; the checksum is that of the feature map.
      frame_numbers: numbers of the F frames; slots, size: N and D of a video.
    """

    frame_numbers = range(FRAMES)
    slots = SLOTS
    size = SIZE

    def __init__(self, root: Path, workers: int | None = None) -> None:
        self.description = {"name": "oracle", "version": _VERSION, "checksum": checksum(FEATURES, self.size)}
        self._paths = files.find_annotations(root)
        self._workers = workers
        self._crowded = 0

    def encode(self, scene_indices: Sequence[int]) -> Iterator[np.ndarray | InputError]:
        """Yields each video's latents in turn, or the error where its scene file is broken or missing."""
        found = [(index, self._paths.get(index)) for index in scene_indices]
        for result in ordered_map(_encode_file, found, self._workers):
            if isinstance(result, InputError):
                yield result
            else:
                latents_FxNxD, crowded = result
                self._crowded += crowded
                yield latents_FxNxD

    def remarks(self) -> list[str]:
        """What to report after the encoding: videos with more objects than slots."""
        told = f"{self._crowded} videos have frames that show more than {SLOTS} objects; the first {SLOTS} were kept"
        return [told] if self._crowded else []


def _encode_file(found: tuple[int, Path | None]) -> tuple[np.ndarray, bool] | InputError:
    """Latents of a video, and whether some frame shows more objects than there are slots."""
    scene_index, path = found
    if path is None:
        name = files.video_name(scene_index).replace(".avi", ".json")
        return InputError(f"no scenes/{name} of the {files.camera_of(scene_index)} camera; unpack scenes.zip anew")
    try:
        annotation = read_annotation(path)
    except InputError as error:
        return error
    return encode(annotation, scene_index), bool((seen(annotation).sum(axis=1) > SLOTS).any())
