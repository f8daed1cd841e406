"""How templates become sentences: the fillings of their holes, and the program that goes with the text.

A text has holes `{A.one}` and `{A.many}` for descriptions of objects, and `{R.text}` for a relation; text in [brackets]
may be left out. A program is written with the same letters, as its functions in evaluation order: each takes the most
recent results that are still unused, as on a stack.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from aloe.tasks.clevr.programs import SIGNATURES, Node, Program
from aloe.tasks.clevr.vocabulary import ATTRIBUTES

OBJECT_HOLES, RELATION_HOLES = "ABCD", "RS"

SYNONYMS = {
    "thing": ("thing", "object"),
    "sphere": ("sphere", "ball"),
    "cube": ("cube", "block"),
    "large": ("large", "big"),
    "small": ("small", "tiny"),
    "metal": ("metallic", "metal", "shiny"),
    "rubber": ("rubber", "matte"),
    "left": ("left of", "to the left of", "on the left side of"),
    "right": ("right of", "to the right of", "on the right side of"),
    "front": ("in front of",),
}
_MEANING = {word: name for name, words in SYNONYMS.items() for word in words}

# Objects are described by values keyed by attribute name, in the order of ATTRIBUTES; places by the name of a relation.
Description = Mapping[str, str]
Fillings = Mapping[str, Description | str]


class _Said(NamedTuple):
    one: str
    many: str


class _Relation(NamedTuple):
    text: str


Item = TypeVar("Item")


def pick(items: Sequence[Item], rng: np.random.Generator) -> Item:
    """An item drawn at random; many times faster than `rng.choice`."""
    return items[int(rng.integers(len(items)))]


@functools.cache
def wordings(text: str) -> tuple[str, ...]:
    """All variants of the text, with each of its [brackets] kept or left out."""
    before, found, after = re.match(r"([^[]*)(?:\[([^]]*)])?(.*)", text).groups()  # type: ignore[union-attr]
    if found is None:
        return (text,)
    return tuple(before + kept + rest for rest in wordings(after) for kept in (found, ""))


def say(text: str, fillings: Fillings, rng: np.random.Generator) -> str:
    """The text with its holes filled, in a wording and synonyms drawn at random."""

    def word(name: str) -> str:
        return pick(SYNONYMS.get(name, (name,)), rng)

    def said(filling: Description | str) -> _Said | _Relation:
        if isinstance(filling, str):
            return _Relation(word(filling))
        words = [word(value) for value in filling.values()]
        phrase = " ".join(words if "shape" in filling else [*words, word("thing")])
        return _Said(phrase, f"{phrase}s")

    return pick(wordings(text), rng).format(**{letter: said(filling) for letter, filling in fillings.items()})


def write(functions: str, fillings: Fillings) -> Program:
    """The program written as functions and holes, such as "scene A unique R B count"."""
    nodes: list[Node] = []
    given: list[int] = []  # indices of nodes whose output is still unused

    def add(function: str, literal: str = "") -> None:
        takes = len(SIGNATURES[function].inputs)
        inputs = tuple(given[len(given) - takes :])
        del given[len(given) - takes :]
        given.append(len(nodes))
        nodes.append(Node(function, inputs, literal))

    for name in functions.split():
        filling = fillings.get(name)
        if filling is None:
            add(name)
        elif isinstance(filling, str):
            add("relate", filling)
        else:
            for attribute, value in filling.items():
                add(f"filter_{attribute}", value)
    return tuple(nodes)


def pattern(text: str) -> re.Pattern[str]:
    """A pattern that matches a text without brackets for any fillings, each captured under its letter."""
    phrase = "".join(f"(?:(?:{_any(values)}) )?" for name, values in ATTRIBUTES.items() if name != "shape")
    phrase += f"(?:{_any((*ATTRIBUTES['shape'], 'thing'))})"
    holes: dict[str, _Said | _Relation] = {
        letter: _Said(f"(?P<{letter}>{phrase})", f"(?P<{letter}>{phrase}s)") for letter in OBJECT_HOLES
    }
    relation = _any(("left", "right", "front", "behind"))
    holes |= {letter: _Relation(f"(?P<{letter}>{relation})") for letter in RELATION_HOLES}
    return re.compile(text.replace("?", r"\?").format(**holes))


def meaning(letter: str, words: str) -> Description | str:
    """The filling of a hole, read back from the words that `pattern` captured there."""
    if letter in RELATION_HOLES:
        return _MEANING.get(words, words)
    named = {_MEANING.get(word, word) for text in words.split() for word in (text, text.removesuffix("s"))}
    return {name: value for name, values in ATTRIBUTES.items() for value in values if value in named}


def _any(names: tuple[str, ...]) -> str:
    return "|".join(word for name in names for word in SYNONYMS.get(name, (name,)))
