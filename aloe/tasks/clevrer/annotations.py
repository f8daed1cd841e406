"""CLEVRER's annotation files, the ground truth of one video each, as frozen dataclasses, checked field by field."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aloe.data.fields import field, one_of, require_unique, vector, within
from aloe.errors import InputError

FRAMES = 128
COLORS = ("gray", "red", "blue", "green", "brown", "cyan", "purple", "yellow")
MATERIALS = ("metal", "rubber")
SHAPES = ("cube", "sphere", "cylinder")


@dataclass(frozen=True, slots=True)
class ObjectProperty:
    object_id: int
    color: str
    material: str
    shape: str


@dataclass(frozen=True, slots=True)
class Collision:
    """Objects `first` and `second`, indices on the annotation's O axis, collide at `frame`, in [0, F)."""

    first: int
    second: int
    frame: int
    location_3: np.ndarray


@dataclass(frozen=True, slots=True)
class Annotation:
    """The ground truth of one video. Locations are in world units, velocities in the file's own time unit.

    `visible_FxO` is the file's `inside_camera_view`; every object has a location in every frame, visible or not. The
    O axis is in the order of `objects`.
    """

    scene_index: int
    objects: tuple[ObjectProperty, ...]
    location_FxOx3: np.ndarray  # float32
    velocity_FxOx3: np.ndarray  # float64, as in the file: the last bit may decide whether something moves
    visible_FxO: np.ndarray  # bool
    collisions: tuple[Collision, ...]


def parse_annotation(record: Any, frames: int = FRAMES) -> Annotation:
    """Parses the content of one annotation file.

    Raises:
      InputError: a field is missing or wrong, the number of frames is not `frames`, an object is not in every frame, or
        a number is not finite. The message names the field and its place.
    """
    scene_index = field(record, "scene_index", int)
    objects = tuple(_parse_object(entry) for entry in field(record, "object_property", list))
    ids = [entry.object_id for entry in objects]
    if not ids:
        raise InputError("field 'object_property' is empty; a video has at least one object")
    require_unique("object_id", ids)
    trajectory = field(record, "motion_trajectory", list)
    if len(trajectory) != frames:
        raise InputError(f"field 'motion_trajectory' has {len(trajectory)} frames; it must have {frames}")
    location, velocity, visible = [], [], []
    for number, entry in enumerate(trajectory):
        with within(f"motion_trajectory, frame {number}"):
            if field(entry, "frame_id", int) != number:
                raise InputError(f"field 'frame_id' is {entry['frame_id']}; it must be {number}")
            listed = field(entry, "objects", list)
            states = {field(state, "object_id", int): state for state in listed}
            if states.keys() != set(ids) or len(listed) != len(ids):
                found = [state["object_id"] for state in listed]
                raise InputError(f"field 'objects' has object_ids {found}; it must have {ids}, once each")
            location.append([vector(states[i], "location") for i in ids])
            velocity.append([vector(states[i], "velocity") for i in ids])
            visible.append([field(states[i], "inside_camera_view", bool) for i in ids])
    collisions = tuple(_parse_collision(entry, ids, frames) for entry in field(record, "collision", list))
    return Annotation(
        scene_index,
        objects,
        np.array(location, np.float32),
        np.array(velocity, np.float64),
        np.array(visible, bool),
        collisions,
    )


def _parse_object(record: Any) -> ObjectProperty:
    object_id = field(record, "object_id", int)
    with within(f"object_property, object_id {object_id}"):
        return ObjectProperty(
            object_id,
            one_of(record, "color", COLORS),
            one_of(record, "material", MATERIALS),
            one_of(record, "shape", SHAPES),
        )


def _parse_collision(record: Any, ids: Sequence[int], frames: int) -> Collision:
    with within("collision"):
        frame = field(record, "frame_id", int)
        if not 0 <= frame < frames:
            raise InputError(f"field 'frame_id' is {frame}; it must be 0 to {frames - 1}")
        pair = field(record, "object_ids", list)
        if len(pair) != 2 or pair[0] == pair[1] or not all(object_id in ids for object_id in pair):
            raise InputError(f"field 'object_ids' is {pair}; it must be two different ones of {sorted(ids)}")
        location_3 = np.array(vector(record, "location"), np.float32)
        return Collision(ids.index(pair[0]), ids.index(pair[1]), frame, location_3)
