"""What an image shows, as described by the official scene files."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from aloe.data.fields import field, is_number, one_of, within
from aloe.errors import InputError
from aloe.tasks.clevr.vocabulary import ATTRIBUTES, RELATIONS


class Attributes(NamedTuple):
    size: str
    color: str
    material: str
    shape: str


@dataclasses.dataclass(frozen=True)
class Scene:
    """One image.

    Attributes:
      image_index: index of the image within its split.
      objects: the attributes of each object.
      location_Ox3: centres in world units.
      directions: unit vectors by name, [3] each; "right" and "front" as the camera sees them.
      related: by relation, for each object the objects in this relation to it.
    """

    image_index: int
    objects: tuple[Attributes, ...]
    location_Ox3: np.ndarray
    directions: Mapping[str, np.ndarray]
    related: Mapping[str, tuple[frozenset[int], ...]]


def parse_scene(record: Any) -> Scene:
    """Reads one scene.

    Raises:
      InputError: a field is missing or wrong; the message names the object and the field.
    """
    index = field(record, "image_index", int)
    with within(f"image {index}"):
        objects, locations = [], []
        for number, each in enumerate(field(record, "objects", list)):
            with within(f"object {number}"):
                objects.append(Attributes(*(one_of(each, name, values) for name, values in ATTRIBUTES.items())))
                locations.append(vector(each, "3d_coords"))
        with within("field 'directions'"):
            directions = {name: vector(field(record, "directions", dict), name) for name in ("right", "front")}
        relations = field(record, "relationships", dict)
        related = {}
        for name in RELATIONS:
            with within("field 'relationships'"):
                related[name] = _related(field(relations, name, list), len(objects), name)
    return Scene(index, tuple(objects), np.array(locations).reshape(-1, 3), directions, related)


def vector(record: Any, name: str) -> np.ndarray:
    """A field of three numbers. Raises InputError if it is not."""
    value = field(record, name, list)
    if len(value) != 3 or not all(map(is_number, value)):
        raise InputError(f"field {name!r} is {value}; it must be three numbers")
    return np.array(value, np.float64)


def number(record: Any, name: str) -> float:
    """A field with a number. Raises InputError if it is not."""
    value = record.get(name) if isinstance(record, dict) else None
    if not is_number(value):
        raise InputError(f"field {name!r} is {value!r}; it must be a number")
    return float(value)


def _related(lists: list[Any], objects: int, name: str) -> tuple[frozenset[int], ...]:
    known = range(objects)
    if len(lists) != objects or not all(
        isinstance(each, list) and all(type(other) is int and other in known for other in each) for each in lists
    ):
        raise InputError(f"{name!r} must have a list of object numbers, 0 to {objects - 1}, for each object")
    return tuple(map(frozenset, lists))
