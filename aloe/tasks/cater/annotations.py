"""CATER's scene files, each the ground truth of one video, as frozen dataclasses, validated field by field.

Not read from a file are `relationships`, which is malformed, and `movements`, which is not needed: what is hidden under
what follows from the positions of the objects.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from aloe.data.fields import field, one_of, read_json, within
from aloe.errors import InputError
from aloe.tasks.cater import grid

FRAMES = 300  # every video has at least these; most have one more
MOST_FRAMES = 301
SNITCH, CONE = "spl", "cone"
SHAPES = ("cube", "sphere", "cylinder", CONE, SNITCH)
SIZES = {"small": 0.25, "medium": 0.5, "large": 0.75}  # a snitch has a radius of 0.3
SNITCH_SIZE = 0.3
MATERIALS = ("rubber", "metal")
COLORS = ("gray", "red", "blue", "green", "brown", "purple", "cyan", "yellow", "gold")

_SAME_PLACE = 0.25  # distance along the ground; objects side by side are farther apart


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectProperty:
    """What does not change about an object: one each of SHAPES, SIZES, COLORS and MATERIALS; radius in world units."""

    shape: str
    size: str
    color: str
    material: str

    @property
    def radius(self) -> float:
        return SNITCH_SIZE if self.shape == SNITCH else SIZES[self.size]


@dataclasses.dataclass(frozen=True, slots=True)
class Annotation:
    """The ground truth of one video.

    Attributes:
      objects: in the order of the file.
      snitch: its index in `objects`.
      location_FxOx3: in world units, for 300 or 301 frames; includes objects under others.
    """

    objects: tuple[ObjectProperty, ...]
    snitch: int
    location_FxOx3: np.ndarray

    @property
    def label(self) -> int:
        """The cell of the snitch in the last frame."""
        return int(grid.cell(self.location_FxOx3[-1, self.snitch]))


def covered(annotation: Annotation) -> np.ndarray:
    """Which objects are under a cone, hidden_FxO: smaller, in the same place, and with their middle inside it."""
    location_FxOx3 = annotation.location_FxOx3
    radius_O = np.array([each.radius for each in annotation.objects])
    raised_FxO = location_FxOx3[..., 2] - location_FxOx3[..., 2].min(axis=0)
    middle_FxO = raised_FxO + radius_O
    hidden_FxO = np.zeros(middle_FxO.shape, bool)
    for number, each in enumerate(annotation.objects):
        if each.shape != CONE:
            continue
        away_FxOx3 = location_FxOx3 - location_FxOx3[:, [number]]
        rim_Fx1 = raised_FxO[:, [number]]
        hidden_FxO |= (
            (np.hypot(away_FxOx3[..., 0], away_FxOx3[..., 1]) < _SAME_PLACE)
            & (radius_O < each.radius)
            & (rim_Fx1 < middle_FxO)
            & (middle_FxO < rim_Fx1 + 2 * each.radius)  # not lifted over it
        )
    return hidden_FxO


def last_seen(annotation: Annotation) -> int:
    """The last frame in which the snitch is not under a cone; 0 if it always is."""
    seen_F = ~covered(annotation)[:, annotation.snitch]
    return int(np.flatnonzero(seen_F)[-1]) if seen_F.any() else 0


def read_annotation(path: Path) -> Annotation:
    """Reads the scene file of one video. Raises the errors of `parse_annotation`, naming the file."""
    record = read_json(path)
    with within(path):
        return parse_annotation(record)


def parse_annotation(record: Any) -> Annotation:
    """Parses the content of one scene file.

    Raises:
      InputError: a field is missing or wrong, there is not exactly one snitch, or an object lacks some frames. The
        message names the object and the field.
    """
    objects, locations = [], []
    for number, entry in enumerate(field(record, "objects", list)):
        with within(f"object {number}"):
            objects.append(_parse_object(entry))
            locations.append(_locations(entry))
    snitches = [number for number, each in enumerate(objects) if each.shape == SNITCH]
    if len(snitches) != 1:
        raise InputError(f"field 'objects' has {len(snitches)} snitches (of the shape {SNITCH!r}); it must have one")
    frames = sorted({len(each) for each in locations})
    if len(frames) > 1:
        raise InputError(f"field 'locations' has {frames[0]} frames of one object and {frames[-1]} of another")
    return Annotation(tuple(objects), snitches[0], np.stack(locations, axis=1))


def _parse_object(record: Any) -> ObjectProperty:
    shape = one_of(record, "shape", SHAPES)
    if shape == SNITCH:  # there is only one kind
        return ObjectProperty(SNITCH, "small", "gold", "metal")
    return ObjectProperty(
        shape,
        one_of(record, "size", tuple(SIZES)),
        one_of(record, "color", COLORS),
        one_of(record, "material", MATERIALS),
    )


def _locations(record: Any) -> np.ndarray:
    """location_Fx3, from a JSON object that maps frame numbers to positions."""
    told = field(record, "locations", dict)
    if len(told) not in (FRAMES, MOST_FRAMES):
        raise InputError(f"field 'locations' has {len(told)} frames; it must have {FRAMES} or {MOST_FRAMES}")
    absent = next((frame for frame in range(len(told)) if str(frame) not in told), None)
    if absent is not None:
        raise InputError(f"field 'locations' has no frame {absent}, but {len(told)} frames")
    try:
        location_Fx3 = np.array([told[str(frame)] for frame in range(len(told))])
    except ValueError:
        location_Fx3 = np.empty(0)
    fits = location_Fx3.shape == (len(told), 3) and location_Fx3.dtype.kind in "if"
    if not fits or not np.isfinite(location_Fx3).all():
        raise InputError("field 'locations' must have three numbers for every frame")
    return location_Fx3.astype(np.float64)
