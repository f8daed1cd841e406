"""What an image shows, as described by the official scene files."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from aloe.data.fields import field, one_of, vector, within
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
            directions = {
                name: np.array(vector(field(record, "directions", dict), name), np.float64)
                for name in ("right", "front")
            }
        relations = field(record, "relationships", dict)
        related = {}
        for name in RELATIONS:
            with within("field 'relationships'"):
                related[name] = _related(field(relations, name, list), len(objects), name)
    return Scene(index, tuple(objects), np.array(locations, np.float64).reshape(-1, 3), directions, related)


def _related(lists: list[Any], objects: int, name: str) -> tuple[frozenset[int], ...]:
    known = range(objects)
    if len(lists) != objects or not all(
        isinstance(each, list) and all(type(other) is int and other in known for other in each) for each in lists
    ):
        raise InputError(f"{name!r} must have a list of object numbers, 0 to {objects - 1}, for each object")
    return tuple(map(frozenset, lists))
