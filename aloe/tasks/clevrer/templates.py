"""Questions about a scene: what they say beside the program that answers them, as data, and how the holes are filled.

A row is a text and a program with the same holes; a new template is a new row, and a new filling a line in the lists
below. Wording, programs and order are those of the released questions. This first handful leaves out exits, "before"
and "after", times given by an entrance, and some ways of saying the same.
"""

import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from aloe.tasks.clevrer import executor
from aloe.tasks.clevrer.executor import COLORS, MATERIALS, SHAPES, ExecutionError, Object, Scene

ATTRIBUTES = {"color": COLORS, "material": MATERIALS, "shape": SHAPES}
# A viewer calls this moving. A question whose answer would change if only that counted is not asked.
VISIBLY_MOVING = 0.15


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

# How often 0 to 4 choices are correct, about as in the released explanatory questions.
RIGHT = np.array([0.16, 0.20, 0.33, 0.26, 0.05])


class Tally(NamedTuple):
    """What a question adds to the statistics to be balanced: one `value`, of the wanted `share`, within a `group`."""

    group: str
    value: str
    share: float


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A question that could be asked: its slot, the official record without question_id, and what it counts as."""

    slot: str
    question: dict[str, Any]
    tallies: tuple[Tally, ...]


def candidates(scene: Scene, truth: Mapping[str, Any], rng: np.random.Generator) -> list[Candidate]:
    """Questions of every slot, several for each answer where the scene has them, for balance.py to choose from.

    Args:
      scene: what the answers are read from.
      truth: of the same scene (scenes.describe); its unclear pairs are not asked about.
      rng: chooses wording and fillings.
    """
    found: list[Candidate] = []
    for slot in DESCRIPTIVE:
        found += _descriptive(slot, scene, rng)
    found += _explanatory(scene, rng)
    found += _predictive(scene, truth, rng)
    found += _counterfactual(scene, truth, rng)
    return found


def phrase(words: Mapping[str, str]) -> Filling:
    """The objects with these attributes: "red cube", "metal objects"."""
    given = [name for name in ATTRIBUTES if name in words]
    noun = [] if "shape" in words else ["object"]
    text = " ".join([*(words[name] for name in given), *noun])
    program = " ".join(["objects", *(f"{words[name]} filter_{name}" for name in given)])
    return Filling(text, program, plural=f"{text}s", given=frozenset(given))


def the(scene: Scene, index: int, rng: np.random.Generator) -> Filling:
    """A phrase for one object alone, most often as short as can be."""
    alone = _alone(scene.objects, index)
    shortest = [names for names in alone if len(names) == len(alone[0])]
    names = _pick(rng, shortest if rng.random() < 0.85 else alone)
    filling = phrase({name: getattr(scene.objects[index], name) for name in names})
    return filling._replace(program=f"{filling.program} unique")


@functools.lru_cache(maxsize=16)
def _alone(objects: tuple[Object, ...], index: int) -> list[tuple[str, ...]]:
    """The sets of attributes that tell an object from all others, the smallest first."""
    alike = [
        {name for name in ATTRIBUTES if getattr(other, name) == getattr(objects[index], name)} for other in objects
    ]
    return [
        names
        for size in (1, 2, 3)
        for names in itertools.combinations(ATTRIBUTES, size)
        if sum(other.issuperset(names) for other in alike) == 1
    ]


def _descriptive(slot: str, scene: Scene, rng: np.random.Generator, tries: int = 48) -> Iterator[Candidate]:
    cautious = dataclasses.replace(scene, moving_speed=VISIBLY_MOVING)
    kept: Counter[tuple[str, str]] = Counter()
    texts = set()
    for _ in range(tries):
        row = _pick(rng, DESCRIPTIVE[slot])
        holes = {name: _pick(rng, HOLES[name]) for name in HOLES if f"{{{name}." in row.text}
        if "{A." in row.text:
            holes["A"] = the(scene, int(rng.integers(len(scene.objects))), rng)
        if "{O." in row.text:
            holes["O"] = _some(rng)
        program = row.program.format(**holes).split()
        text = row.text.format(**holes)
        if text in texts or ("O" in holes and "Q" in holes and _pointless(holes, scene)):
            continue
        subtype = holes["Q"].program if row.subtype == "query" else row.subtype
        try:
            answer = executor.answer(program, scene)
            if "S" in holes and answer != executor.answer(program, cautious):
                continue
        except ExecutionError:
            continue
        if answer not in SHARES[subtype] or kept[subtype, answer] >= 3:
            continue
        kept[subtype, answer] += 1
        texts.add(text)
        share = SHARES[subtype][answer]
        named = {name: f"{len(filling.given)}" for name, filling in holes.items() if name in "AO"}
        sort = row.text.format(**{**holes, **{name: Filling(size, "", size) for name, size in named.items()}})
        tallies = [Tally(subtype, answer, share), Tally(f"{subtype}: {sort}", answer, share)]
        if row.subtype == "query":
            tallies.append(Tally("query", subtype, 1 / 3))
        question = {
            "question": text,
            "question_type": "descriptive",
            "question_subtype": subtype,
            "program": program,
            "answer": answer,
        }
        yield Candidate(slot, question, tuple(tallies))


def _some(rng: np.random.Generator) -> Filling:
    """Objects of any kind, or with one attribute in common."""
    if rng.random() < 0.35:
        return phrase({})
    name = _pick(rng, list(ATTRIBUTES))
    return phrase({name: _pick(rng, ATTRIBUTES[name])})


def _pointless(holes: Mapping[str, Filling], scene: Scene) -> bool:
    """Whether the phrase gives the attribute that is asked for, or picks one object whatever moves."""
    return bool(holes["Q"].given & holes["O"].given) or len(executor.run(holes["O"].program.split(), scene)) < 2


def _explanatory(scene: Scene, rng: np.random.Generator) -> Iterator[Candidate]:
    for effect, negated, _ in itertools.product(scene.collisions, (False, True), range(2)):
        one, other = rng.permutation(effect.objects).tolist()
        row, holes = _pick(rng, EXPLANATORY), {"A": the(scene, one, rng), "B": the(scene, other, rng)}
        question = _question("explanatory", row, holes, negated)
        subjects: list[tuple[str, tuple[int, ...]]] = [("presence", (item.index,)) for item in scene.objects]
        subjects += [("collision", event.objects) for event in scene.collisions if event is not effect]
        subjects += [("entrance", event.objects) for event in scene.events if event.kind == "in"]
        named = {f"the presence of the {filling.text}" for filling in holes.values()}
        choices = [
            choice for choice in _choices(scene, rng, CAUSES, subjects, question) if choice["choice"] not in named
        ]
        yield from _asked(question, _mixed(choices, rng, least=2), negated)


def _predictive(scene: Scene, truth: Mapping[str, Any], rng: np.random.Generator) -> Iterator[Candidate]:
    pairs = _clear_pairs(scene, truth["unseen"])
    moving = {item.index for item in executor.run(["objects", "end", "get_frame", "filter_moving"], scene)}
    question = _question("predictive", _pick(rng, PREDICTIVE), {}, False)
    choices = _choices(scene, rng, OUTCOMES, [("collision", pair) for pair in pairs], question)
    correct = [choice for choice in choices if choice["answer"] == "correct"]
    wrong = [choice for choice in choices if choice["answer"] == "wrong"]
    tempting = [choice for choice in wrong if moving.intersection(choice["objects"])]
    if correct and wrong:
        chosen = [_pick(rng, correct), _pick(rng, tempting or wrong)]
        yield from _asked(question, _shuffled(chosen, rng), False)


def _counterfactual(scene: Scene, truth: Mapping[str, Any], rng: np.random.Generator) -> Iterator[Candidate]:
    happened = {event.objects for event in (*scene.collisions, *(scene.unseen or ()))}
    for entry, negated in itertools.product(truth["counterfactual"], (False, True)):
        removed = entry["removed"]
        holes = {"X": the(scene, removed, rng)}
        question = _question("counterfactual", _pick(rng, COUNTERFACTUAL), holes, negated)
        pairs = [pair for pair in _clear_pairs(scene, entry) if removed not in pair]
        choices = _choices(scene, rng, OUTCOMES, [("collision", pair) for pair in pairs], question)
        # Pairs to which the removal makes a difference come first.
        choices.sort(key=lambda choice: (choice["objects"] in happened) == ((choice["answer"] == "correct") != negated))
        mixed = _mixed(choices, rng, least=2)
        if len({choice["answer"] for choice in mixed}) == 2:
            yield from _asked(question, mixed, negated)


def _clear_pairs(scene: Scene, entry: Mapping[str, Any]) -> list[tuple[int, int]]:
    unclear = {tuple(pair) for pair in entry["unclear"]}
    return [pair for pair in itertools.combinations(range(len(scene.objects)), 2) if pair not in unclear]


def _question(kind: str, row: Row, holes: Mapping[str, Filling], negated: bool) -> dict[str, Any]:
    text = row.text.format(**holes, not_="not " if negated else "")
    program = row.program.format(**holes, negate=" negate" if negated else "")
    return {"question": text, "question_type": kind, "program": program.split()}


def _choices(
    scene: Scene,
    rng: np.random.Generator,
    rows: Sequence[Row],
    subjects: Iterable[tuple[str, tuple[int, ...]]],
    question: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """A choice for each subject (what it is about, and its objects) in random order, with its label."""
    choices = []
    for subtype, objects in _shuffled(list(subjects), rng):
        row = _pick(rng, [row for row in rows if row.subtype == subtype])
        holes = dict(zip("AB", (the(scene, index, rng) for index in rng.permutation(objects).tolist()), strict=False))
        program = row.program.format(**holes).split()
        label = executor.judge(program, question["program"], scene)
        choice = row.text.format(**holes)
        choices.append(
            {"choice": choice, "program": program, "answer": label, "subtype": subtype, "objects": tuple(objects)}
        )
    return choices


def _mixed(choices: Sequence[dict[str, Any]], rng: np.random.Generator, least: int) -> list[dict[str, Any]]:
    """Up to four of the choices, the first ones preferred; how many of them are correct is drawn as RIGHT says."""
    correct = [choice for choice in choices if choice["answer"] == "correct"]
    wrong = [choice for choice in choices if choice["answer"] == "wrong"]
    size = min(4, len(choices))
    if size < least:
        return []
    possible = np.arange(max(0, size - len(wrong)), min(size, len(correct)) + 1)
    right = int(rng.choice(possible, p=RIGHT[possible] / RIGHT[possible].sum()))
    return _shuffled([*correct[:right], *wrong[: size - right]], rng)


def _asked(question: dict[str, Any], choices: Sequence[Mapping[str, Any]], negated: bool) -> Iterator[Candidate]:
    if not choices:
        return
    kind = question["question_type"]
    records = [
        {"choice_id": place, **{key: choice[key] for key in ("choice", "program", "answer")}}
        for place, choice in enumerate(choices)
    ]
    # A prediction has one correct choice and one wrong: nothing to balance.
    tallies = [
        Tally(f"{kind}{' not' if negated else ''}: {choice['subtype']}", choice["answer"], 0.5) for choice in choices
    ]
    yield Candidate(kind, {**question, "choices": records}, tuple(tallies))


def _pick(rng: np.random.Generator, items: Sequence[Any]) -> Any:
    return items[int(rng.integers(len(items)))]


def _shuffled(items: Sequence[Any], rng: np.random.Generator) -> list[Any]:
    return [items[index] for index in rng.permutation(len(items))]
