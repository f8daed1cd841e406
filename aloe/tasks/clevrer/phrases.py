"""Phrases for the objects of a scene: for one alone, as people would say it, and for any number."""

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
MINIMAL = 0.85  # how often a word less would not do
ATTRIBUTES_OF_SOME = [0.25, 0.45, 0.27, 0.03]  # how often a phrase for any number of objects has 0 to 3 of them


def the(scene: Scene, index: int, rng: np.random.Generator) -> Filling:
    """A phrase that fits one object and no other, most often with no word too many."""
    alone, minimal = _alone(scene.objects, index)
    allowed = minimal if rng.random() < MINIMAL else alone
    weight = np.array([NAMED_BY[names] for names in allowed])
    names = allowed[int(rng.choice(len(allowed), p=weight / weight.sum()))]
    return phrase({name: getattr(scene.objects[index], name) for name in names})


@functools.lru_cache(maxsize=16)
def _alone(objects: tuple[Object, ...], index: int) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """The sets of attributes that tell an object from all others, and those of them from which none can be dropped."""
    alike = [
        {name for name in ATTRIBUTES if getattr(other, name) == getattr(objects[index], name)} for other in objects
    ]
    alone = [names for names in NAMED_BY if sum(other.issuperset(names) for other in alike) == 1]
    return alone, [names for names in alone if not any(set(fewer) < set(names) for fewer in alone)]


def some(scene: Scene, rng: np.random.Generator) -> tuple[Filling, frozenset[str]]:
    """A phrase for any number of objects, most often such as the scene has; and the attributes that it gives."""
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
