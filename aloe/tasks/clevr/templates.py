"""The groups of the released templates, and the templates that a world uses: wording and programs, as data.

Zero-hop questions identify objects by their attributes, one-hop questions by a relation to another object. Comparisons
are of two numbers, or of an attribute of two objects, with neither, one or both of them described by a relation.
"""

from typing import NamedTuple

from aloe.errors import InputError
from aloe.tasks.clevr.vocabulary import ATTRIBUTES

GROUPS = ("zero_hop", "one_hop", "compare_integer", "comparison")  # used by a world

# By group of released templates, the template numbers: a question's `question_family_index`.
NUMBERS = {
    "zero_hop": range(84, 90),
    "one_hop": range(72, 78),
    "two_hop": range(78, 84),
    "three_hop": range(25, 31),
    "same_relate": range(36, 64),
    "comparison": range(9, 25),
    "compare_integer": range(9),
    "single_and": range(31, 36),
    "single_or": range(64, 72),
}


def group_of(number: int) -> str:
    """The group of the released template with this number.

    Raises:
      InputError: there is no such template.
    """
    for group, numbers in NUMBERS.items():
        if number in numbers:
            return group
    raise InputError(f"{number}: templates are numbered from 0 to {max(map(max, NUMBERS.values()))}")


class Row(NamedTuple):
    """A template.

    Attributes:
      number: its `question_family_index` in the released files.
      group: one of GROUPS.
      texts: equivalent wordings; see grammar.py.
      functions: those of its program.
      asked: the attribute that is asked for, by which the object asked about must therefore not be described.
    """

    number: int
    group: str
    texts: tuple[str, ...]
    functions: str
    asked: str = ""

    @property
    def function(self) -> str:
        """The last function of its program."""
        return self.functions.split()[-1]


class _Phrase(NamedTuple):
    text: str
    functions: str


# The object or objects asked about, and those on the other side of a comparison.
_OBJECT = _Phrase("{A.one}", "scene A unique")
_NEAR = _Phrase("{B.one}[ that is] {R.text} the {A.one}", "scene A unique R B unique")
_OTHER = _Phrase("{C.one}", "scene C unique")
_NEAR_OTHER = _Phrase("{D.one}[ that is] {S.text} the {C.one}", "scene C unique S D unique")
_OBJECTS = _Phrase("{A.many}", "scene A")
_ALL_NEAR = _Phrase("{B.many}[ that are] {R.text} the {A.one}", "scene A unique R B")
_OTHERS = _Phrase("{C.many}", "scene C")
_ALL_NEAR_OTHER = _Phrase("{D.many}[ that are] {S.text} the {C.one}", "scene C unique S D")

_QUERY = ("What {q} is the {X}?", "What is the {q} of the {X}?")
_QUERY_OBJECT = ("The {X} has what {q}?", "The {X} is what {q}?")
_QUERY_NEAR = ("There is a {X}; what {q} is it?", "There is a {X}; what is its {q}?")
_QUERY_ALSO = {"material": ("What is the {X} made of?",), "size": ("How big is the {X}?",)}
_SAME = (
    "Do the {X} and the {Y} have the same {q}?",
    "Is the {q} of the {X} the same as the {Y}?",
    "Does the {X} have the same {q} as the {Y}?",
)
_SAME_ALSO = {
    "material": (
        "Are the {X} and the {Y} made of the same {q}?",
        "Is the {X} made of the same {q} as the {Y}?",
    )
}
_IS_THE_SAME = ("Is the {X} the same {q} as the {Y}?",)
_NUMBERS = {
    "equal_integer": (
        "Are there an equal number of {X} and {Y}?",
        "Are there the same number of {X} and {Y}?",
        "Is the number of {X} the same as the number of {Y}?",
    ),
    "less_than": ("Are there fewer {X} than {Y}?", "Is the number of {X} less than the number of {Y}?"),
    "greater_than": ("Are there more {X} than {Y}?", "Is the number of {X} greater than the number of {Y}?"),
}


def _texts(texts: tuple[str, ...], one: _Phrase, other: _Phrase | None = None, asked: str = "") -> tuple[str, ...]:
    put = {"{X}": one.text, "{Y}": other.text if other else "", "{q}": asked}
    for hole, text in put.items():
        texts = tuple(each.replace(hole, text) for each in texts)
    return texts


def _rows() -> tuple[Row, ...]:
    rows = []
    for place, (function, texts) in enumerate(_NUMBERS.items()):
        for first, one, other in (
            (0, _OBJECTS, _OTHERS),
            (3, _ALL_NEAR, _OTHERS),
            (6, _ALL_NEAR, _ALL_NEAR_OTHER),
        ):
            functions = f"{one.functions} count {other.functions} count {function}"
            rows.append(Row(first + place, "compare_integer", _texts(texts, one, other), functions))
    for place, name in enumerate(("size", "color", "material", "shape")):
        texts = _SAME + _SAME_ALSO.get(name, _IS_THE_SAME)
        pairs = ((_OBJECT, _OTHER), (_NEAR, _OTHER), (_OBJECT, _NEAR_OTHER), (_NEAR, _NEAR_OTHER))
        for number, (one, other) in zip((9 + place, *range(13 + 3 * place, 16 + 3 * place)), pairs, strict=True):
            query = f"query_{name}"
            functions = f"{one.functions} {query} {other.functions} {query} equal_{name}"
            rows.append(Row(number, "comparison", _texts(texts, one, other, name), functions, name))
    many = ("What number of {X} are there?", "How many {X} are there?")
    rows.append(Row(84, "zero_hop", _texts(many, _OBJECTS), "scene A count"))
    exist = ("Are there any {A.many}?", "Are any {A.many} visible?", "Is there a {A.one}?")
    rows.append(Row(85, "zero_hop", exist, "scene A exist"))
    count_near = (
        "What number of {B.many} are {R.text} the {A.one}?",
        "How many {B.many} are {R.text} the {A.one}?",
        "There is a {A.one}; how many {B.many} are {R.text} it?",
        "There is a {A.one}; what number of {B.many} are {R.text} it?",
    )
    rows.append(Row(72, "one_hop", count_near, "scene A unique R B count"))
    exist_near = (
        "Are there any {B.many} {R.text} the {A.one}?",
        "There is a {A.one}; are there any {B.many} {R.text} it?",
    )
    rows.append(Row(73, "one_hop", exist_near, "scene A unique R B exist"))
    for group, one, numbers, more in (
        ("zero_hop", _OBJECT, {"shape": 86, "material": 87, "color": 88, "size": 89}, _QUERY_OBJECT),
        ("one_hop", _NEAR, {"size": 74, "color": 75, "material": 76, "shape": 77}, _QUERY_NEAR),
    ):
        for name in ATTRIBUTES:
            texts = _QUERY + _QUERY_ALSO.get(name, ())
            if not (group == "zero_hop" and name == "material"):
                texts += more
            functions = f"{one.functions} query_{name}"
            rows.append(Row(numbers[name], group, _texts(texts, one, asked=name), functions, name))
    return tuple(sorted(rows))


ROWS = _rows()
