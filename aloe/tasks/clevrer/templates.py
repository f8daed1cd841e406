"""Question templates as data: their text, and the program that answers it.

A row is a kind, a text and a program with the same holes (grammar.py); a new template is a new row, and a new filling a
line in the lists below. Wording, programs and order are those of the released questions. phrases.py, descriptive.py and
causal.py fill the object holes; parser.py parses with the same rows.
"""

from collections.abc import Iterator, Mapping, Sequence

from aloe.tasks.clevrer.grammar import ATTRIBUTES, Filling, Row, Sentence, sentences

# Fillings of the holes that are not for objects: Q an attribute; N an order; S a state; T a time; E which events; V
# crossing the picture's border; G a negation; W the question word.
HOLES: dict[str, Sequence[Filling]] = {
    "Q": [
        Filling(text, f"query_{name}") for name in ATTRIBUTES for text in (f"is the {name} of", f"{name} is")
    ],
    "N": [
        Filling("", "unique"),
        Filling("first ", "first filter_order"),
        Filling("second ", "second filter_order"),
        Filling("last ", "last filter_order"),
    ],
    "S": [Filling("moving", "filter_moving"), Filling("stationary", "filter_stationary")],
    "T": [
        Filling("", "null"),
        Filling(" when the video begins", "start get_frame"),
        Filling(" when the video ends", "end get_frame"),
        Filling(" when the {X.text} enters the scene", "events {X.program} unique filter_in unique get_frame"),
        Filling(" when the {X.text} exits the scene", "events {X.program} unique filter_out unique get_frame"),
    ],
    "E": [
        Filling("", "events"),
        *(
            Filling(
                f" {when} the {{X.text}} {passes} the scene",
                f"events events {{X.program}} unique filter_{way} unique filter_{when}",
            )
            for when in ("before", "after")
            for passes, way in (("enters", "in"), ("exits", "out"))
        ),
    ],
    "V": [Filling("enter", "filter_in", third="enters"), Filling("exit", "filter_out", third="exits")],
    "G": [Filling("", ""), Filling("not ", " negate")],
    "W": [Filling("What"), Filling("Which event"), Filling("Which of the following")],
}  # fmt: skip

_COLLISION = "events {A.program} unique filter_collision {B.program} unique filter_collision unique"
_POSSIBLE = "all_events {A.program} unique filter_collision {B.program} unique filter_collision unique"
_STATE = "{O.program} {T.program} {S.program}"
_WITHOUT = "all_events {X.program} unique get_counterfact belong_to{G.program}"

# fmt: off
DESCRIPTIVE: dict[str, tuple[Row, ...]] = {
    "event query": (
        Row("{Q.program}", "What {Q.text} the {N.text}object to collide with the {A.text}?",
            "events {A.program} unique filter_collision {N.program} {A.program} unique get_col_partner {Q.program}"),
        Row("{Q.program}", "What {Q.text} the {N.text}object that {V.third} the scene?",
            "events objects {V.program} {N.program} get_object {Q.program}"),
    ),
    "event count": (
        Row("count", "How many collisions happen{E.text}?", "{E.program} objects filter_collision count"),
        Row("count", "How many {O.plural} {V.text} the scene{E.text}?", "{E.program} {O.program} {V.program} count"),
    ),
    "event exist": (
        Row("exist", "Are there any {O.plural} that {V.text} the scene{E.text}?",
            "{E.program} {O.program} {V.program} exist"),
    ),
    "motion query": (
        Row("{Q.program}", "What {Q.text} the {S.text} {O.text}{T.text}?", f"{_STATE} unique {{Q.program}}"),
        Row("{Q.program}", "What {Q.text} the {O.text} that is {S.text}{T.text}?", f"{_STATE} unique {{Q.program}}"),
    ),
    "motion count": (
        Row("count", "How many {O.plural} are {S.text}{T.text}?", f"{_STATE} count"),
        Row("count", "How many {S.text} {O.plural} are there{T.text}?", f"{_STATE} count"),
    ),
    "motion exist": (
        Row("exist", "Are there any {S.text} {O.plural}{T.text}?", f"{_STATE} exist"),
    ),
}
EXPLANATORY = tuple(
    Row(kind, f"Which of the following is {{G.text}}responsible for the {effect}?",
        f"events {program} filter_ancestor belong_to{{G.program}}")
    for kind, effect, program in (
        ("collision", "collision between the {A.text} and the {B.text}", _COLLISION),
        ("collision", "{A.text}'s colliding with the {B.text}", _COLLISION),
        ("exit", "{A.text}'s exit", "events {A.program} unique filter_out unique"),
        ("exit", "{A.text}'s exiting the scene", "events {A.program} unique filter_out unique"),
    )
)
CAUSES = (
    Row("presence", "the presence of the {A.text}", "{A.program} unique"),
    Row("collision", "the collision between the {A.text} and the {B.text}", _COLLISION),
    Row("collision", "the {A.text}'s colliding with the {B.text}", _COLLISION),
    Row("entrance", "the {A.text}'s entrance", "events {A.program} unique filter_in unique"),
    Row("entrance", "the {A.text}'s entering the scene", "events {A.program} unique filter_in unique"),
)
PREDICTIVE = (
    Row("predictive", "What will happen next?", "unseen_events belong_to"),
    Row("predictive", "Which event will happen next?", "unseen_events belong_to"),
)
COUNTERFACTUAL = (
    Row("counterfactual", "{W.text} will {G.text}happen if the {X.text} is removed?", _WITHOUT),
    Row("counterfactual", "{W.text} will {G.text}happen without the {X.text}?", _WITHOUT),
    Row("counterfactual", "If the {X.text} is removed, {W.lower} will {G.text}happen?", _WITHOUT),
    Row("counterfactual", "Without the {X.text}, {W.lower} will {G.text}happen?", _WITHOUT),
)
OUTCOMES = (
    Row("collision", "The {A.text} and the {B.text} collide", _POSSIBLE),
    Row("collision", "The {A.text} collides with the {B.text}", _POSSIBLE),
)
# fmt: on


def of_questions() -> Iterator[Sentence]:
    """Yields every sentence that a question can be."""
    for row in (*(row for rows in DESCRIPTIVE.values() for row in rows), *EXPLANATORY, *PREDICTIVE, *COUNTERFACTUAL):
        yield from sentences(row, HOLES)


def of_choices() -> Iterator[Sentence]:
    """Yields every sentence that a choice can be."""
    for row in (*CAUSES, *OUTCOMES):
        yield from sentences(row, HOLES)


# The slots in a video's list of questions, and how many of each; empty ones leave no gap.
SLOTS = (
    ("event query", 3), ("event count", 2), ("event exist", 1), ("motion query", 2), ("motion count", 2),
    ("motion exist", 1), ("explanatory", 2), ("predictive", 1), ("counterfactual", 2),
)  # fmt: skip

# Target shares within a group of questions or choices: roughly those of the released training questions.
SHARES: dict[str, Mapping[str, float]] = {
    "query": {"query_color": 0.37, "query_shape": 0.34, "query_material": 0.29},
    "exist": {"yes": 0.5, "no": 0.5},
    "count": {"0": 0.247, "1": 0.277, "2": 0.232, "3": 0.163, "4": 0.079, "5": 0.002},
    **{f"query_{name}": {value: 1 / len(values) for value in values} for name, values in ATTRIBUTES.items()},
    "explanatory effects": {"collision": 0.9, "exit": 0.1},
    "explanatory choices": {"presence": 0.46, "collision": 0.31, "entrance": 0.23},
    "explanatory correct": {"0": 0.163, "1": 0.204, "2": 0.330, "3": 0.257, "4": 0.046},
    "counterfactual size": {"2": 0.12, "3": 0.55, "4": 0.33},
    "counterfactual correct": {"0": 0.01, "1": 0.425, "2": 0.345, "3": 0.22},
}
