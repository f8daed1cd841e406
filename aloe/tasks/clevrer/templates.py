"""The templates of questions: what they say beside the program that answers them, as data.

A row is a text and a program with the same holes; a new template is a new row, and a new filling a line in the lists
below. Wording, programs and order are those of the released questions. This first handful leaves out exits, "before"
and "after", times given by an entrance, and some ways of saying the same. question_writer.py fills the holes.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aloe.tasks.clevrer.annotations import COLORS, MATERIALS, SHAPES

ATTRIBUTES = {"color": COLORS, "material": MATERIALS, "shape": SHAPES}


class Filling(NamedTuple):
    """What stands in a hole: `text` (or another form of it) in the text, `program` in the program."""

    text: str
    program: str
    plural: str = ""
    third: str = ""
    given: frozenset[str] = frozenset()  # attributes that it names or asks for


class Row(NamedTuple):
    """A template. Holes: A, B, X one object; O objects; Q an attribute; N an order; S a state; T a time; V passing."""

    subtype: str
    text: str
    program: str


Q = tuple(
    Filling(text, f"query_{attribute}", given=frozenset([attribute]))
    for attribute in ATTRIBUTES
    for text in (f"is the {attribute} of", f"{attribute} is")
)
N = (
    Filling("", "unique"),
    Filling("first ", "first filter_order"),
    Filling("second ", "second filter_order"),
    Filling("last ", "last filter_order"),
)
S = (Filling("moving", "filter_moving"), Filling("stationary", "filter_stationary"))
T = (
    Filling("", "null"),
    Filling(" when the video begins", "start get_frame"),
    Filling(" when the video ends", "end get_frame"),
)
V = (Filling("enter", "filter_in", third="enters"),)
HOLES: dict[str, Sequence[Filling]] = {"Q": Q, "N": N, "S": S, "T": T, "V": V}

# fmt: off
DESCRIPTIVE: dict[str, tuple[Row, ...]] = {
    "event query": (
        Row("query", "What {Q.text} the {N.text}object to collide with the {A.text}?",
            "events {A.program} filter_collision {N.program} {A.program} get_col_partner {Q.program}"),
        Row("query", "What {Q.text} the {N.text}object that {V.third} the scene?",
            "events objects {V.program} {N.program} get_object {Q.program}"),
    ),
    "event count": (
        Row("count", "How many collisions happen?", "events objects filter_collision count"),
        Row("count", "How many {O.plural} {V.text} the scene?", "events {O.program} {V.program} count"),
    ),
    "event exist": (
        Row("exist", "Are there any {O.plural} that {V.text} the scene?", "events {O.program} {V.program} exist"),
    ),
    "motion query": (
        Row("query", "What {Q.text} the {S.text} {O.text}{T.text}?",
            "{O.program} {T.program} {S.program} unique {Q.program}"),
        Row("query", "What {Q.text} the {O.text} that is {S.text}{T.text}?",
            "{O.program} {T.program} {S.program} unique {Q.program}"),
    ),
    "motion count": (
        Row("count", "How many {O.plural} are {S.text}{T.text}?", "{O.program} {T.program} {S.program} count"),
        Row("count", "How many {S.text} {O.plural} are there{T.text}?", "{O.program} {T.program} {S.program} count"),
    ),
    "motion exist": (
        Row("exist", "Are there any {S.text} {O.plural}{T.text}?", "{O.program} {T.program} {S.program} exist"),
    ),
}
EXPLANATORY = (
    Row("collision",
        "Which of the following is {not_}responsible for the collision between the {A.text} and the {B.text}?",
        "events events {A.program} filter_collision {B.program} filter_collision unique "
        "filter_ancestor belong_to{negate}"),
)
CAUSES = (
    Row("presence", "the presence of the {A.text}", "{A.program}"),
    Row("collision", "the collision between the {A.text} and the {B.text}",
        "events {A.program} filter_collision {B.program} filter_collision unique"),
    Row("collision", "the {A.text}'s colliding with the {B.text}",
        "events {A.program} filter_collision {B.program} filter_collision unique"),
    Row("entrance", "the {A.text}'s entrance", "events {A.program} filter_in unique"),
    Row("entrance", "the {A.text}'s entering the scene", "events {A.program} filter_in unique"),
)
PREDICTIVE = (
    Row("", "What will happen next?", "unseen_events belong_to"),
    Row("", "Which event will happen next?", "unseen_events belong_to"),
)
COUNTERFACTUAL = (
    Row("", "What will {not_}happen if the {X.text} is removed?",
        "all_events {X.program} get_counterfact belong_to{negate}"),
    Row("", "What will {not_}happen without the {X.text}?", "all_events {X.program} get_counterfact belong_to{negate}"),
)
OUTCOMES = (
    Row("collision", "The {A.text} and the {B.text} collide",
        "all_events {A.program} filter_collision {B.program} filter_collision unique"),
    Row("collision", "The {A.text} collides with the {B.text}",
        "all_events {A.program} filter_collision {B.program} filter_collision unique"),
)
# fmt: on

# The places in a video's list of questions, and how many of each; those left empty are closed up.
SLOTS = (
    ("event query", 3), ("event count", 2), ("event exist", 1), ("motion query", 2), ("motion count", 2),
    ("motion exist", 1), ("explanatory", 2), ("predictive", 1), ("counterfactual", 2),
)  # fmt: skip

# Shares of the answers to aim at, within a subtype. Of counts: about those of the released questions.
COUNTS = {"0": 0.25, "1": 0.28, "2": 0.23, "3": 0.16, "4": 0.07, "5": 0.01}
SHARES: dict[str, Mapping[str, float]] = {
    "exist": {"yes": 0.5, "no": 0.5},
    "count": COUNTS,
    **{f"query_{name}": {value: 1 / len(values) for value in values} for name, values in ATTRIBUTES.items()},
}
