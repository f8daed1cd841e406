"""How templates become sentences: rows with holes, what fills the holes, and phrases for objects.

A row's text and program have the same holes. Some are filled from a short list (an order, a time); expanding all
combinations of these turns a row into its sentences, in which only phrases for objects are left open. So one list of
rows serves both writing and parsing questions.
"""

import functools
import itertools
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from aloe.tasks.clevrer.annotations import COLORS, MATERIALS, SHAPES

ATTRIBUTES = {"color": COLORS, "material": MATERIALS, "shape": SHAPES}
OBJECT_HOLES = "ABXO"  # A, B, X: one object; O: any number


class Filling(NamedTuple):
    """What fills a hole: `text` (or another form of it) in the text, `program` in the program."""

    text: str
    program: str = ""
    plural: str = ""
    third: str = ""

    @property
    def lower(self) -> str:
        return self.text[:1].lower() + self.text[1:]


class Row(NamedTuple):
    """A template: its kind, text and program, with holes `{name.form}`; fillings may themselves have object holes."""

    kind: str
    text: str
    program: str


class Sentence(NamedTuple):
    """A row in which only the object holes are left: `{A.text}`, `{O.plural}`, and `{A.program}`."""

    kind: str
    text: str
    program: str

    @property
    def holes(self) -> tuple[str, ...]:
        """The letters of its open holes, in text order."""
        return tuple(name.split(".")[0] for _, name, _, _ in string.Formatter().parse(self.text) if name)

    def fill(self, phrases: Mapping[str, Filling]) -> tuple[str, list[str]]:
        """Its text and program with a phrase in each hole."""
        return self.text.format(**phrases), self.program.format(**phrases).split()


_OPEN = {
    letter: Filling(f"{{{letter}.text}}", f"{{{letter}.program}}", f"{{{letter}.plural}}") for letter in OBJECT_HOLES
}


def sentences(row: Row, holes: Mapping[str, Sequence[Filling]]) -> tuple[Sentence, ...]:
    """All sentences of a row; `holes` lists the fillings of the holes that are not for objects."""
    named = [letter for letter in holes if any(f"{{{letter}." in part for part in row)]
    return tuple(
        Sentence(*(part.format(**_OPEN, **dict(zip(named, fillings, strict=True))) for part in row))
        for fillings in itertools.product(*(holes[letter] for letter in named))
    )


@functools.cache
def _phrase(words: tuple[tuple[str, str], ...]) -> Filling:
    values = dict(words)
    given = [name for name in ATTRIBUTES if name in values]
    text = " ".join([*(values[name] for name in given), *([] if "shape" in values else ["object"])])
    program = " ".join(["objects", *(f"{values[name]} filter_{name}" for name in given)])
    return Filling(text, program, plural=f"{text}s")


def phrase(words: Mapping[str, str]) -> Filling:
    """The phrase for the objects with these attributes: "red cube", "metal objects"."""
    return _phrase(tuple(words.items()))


def attributes_of(text: str) -> dict[str, str]:
    """The attributes that a phrase, singular or plural, names."""
    words: Iterable[str] = (word.removesuffix("s") for word in text.split())
    return {name: word for word in words for name, values in ATTRIBUTES.items() if word in values}
