"""Phrases for the objects of a scene: for exactly one, as people would put it, and for any number."""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from aloe.tasks.clevrer.executor import Object, Scene
from aloe.tasks.clevrer.grammar import ATTRIBUTES, Filling, phrase

# How often the released questions name an object by these attributes.
NAMED_BY = {
    ("color",): 0.23,
    ("material",): 0.014,
    ("shape",): 0.21,
    ("color", "material"): 0.014,
    ("color", "shape"): 0.37,
    ("material", "shape"): 0.14,
    ("color", "material", "shape"): 0.02,
}
MINIMAL = 0.85  # how often a phrase must have no word that could be dropped
ATTRIBUTES_OF_SOME = [0.25, 0.45, 0.27, 0.03]  # how often a phrase for any number of objects names 0 to 3 attributes


def the(scene: Scene, index: int, rng: np.random.Generator) -> Filling:
    """A phrase that fits one object and no other, usually without a redundant word."""
    alone, minimal = _alone(scene.objects, index)
    allowed = minimal if rng.random() < MINIMAL else alone
    weight = np.array([NAMED_BY[names] for names in allowed])
    names = allowed[int(rng.choice(len(allowed), p=weight / weight.sum()))]
    return phrase({name: getattr(scene.objects[index], name) for name in names})


@functools.lru_cache(maxsize=16)
def _alone(objects: tuple[Object, ...], index: int) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """The sets of attributes that distinguish an object from all others, and the minimal ones among them."""
    alike = [
        {name for name in ATTRIBUTES if getattr(other, name) == getattr(objects[index], name)} for other in objects
    ]
    alone = [names for names in NAMED_BY if sum(other.issuperset(names) for other in alike) == 1]
    return alone, [names for names in alone if not any(set(fewer) < set(names) for fewer in alone)]


def some(scene: Scene, rng: np.random.Generator) -> tuple[Filling, frozenset[str]]:
    """A phrase for any number of objects, usually one that occurs in the scene, and the attributes that it names."""
    size = int(rng.choice(4, p=ATTRIBUTES_OF_SOME))
    names = pick(rng, list(itertools.combinations(ATTRIBUTES, size)))
    if rng.random() < 0.7:
        like = pick(rng, scene.objects)
        words = {name: getattr(like, name) for name in names}
    else:
        words = {name: pick(rng, ATTRIBUTES[name]) for name in names}
    return phrase(words), frozenset(names)


def pick(rng: np.random.Generator, items: Sequence[Any]) -> Any:
    return items[int(rng.integers(len(items)))]


def shuffled(items: Sequence[Any], rng: np.random.Generator) -> list[Any]:
    return [items[index] for index in rng.permutation(len(items))]
