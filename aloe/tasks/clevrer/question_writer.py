"""Questions that could be asked about a scene: the templates filled in, with their answers.

Many more than are asked, several for each answer where the scene has them; balance.py chooses. Nothing is asked that a
viewer could not tell: whether a slow thing moves, whether a near miss was a touch.
"""

import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from aloe.tasks.clevrer import executor
from aloe.tasks.clevrer.executor import ExecutionError, Object, Scene
from aloe.tasks.clevrer.templates import (
    ATTRIBUTES,
    CAUSES,
    COUNTERFACTUAL,
    DESCRIPTIVE,
    EXPLANATORY,
    HOLES,
    OUTCOMES,
    PREDICTIVE,
    SHARES,
    Filling,
    Row,
)

# A viewer calls this moving. A question whose answer would change if only that counted is not asked.
VISIBLY_MOVING = 0.15
TRIES = 48  # fillings tried for a descriptive slot
ALIKE = 3  # candidates kept of one subtype and answer
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
    """Questions of every slot.

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


def _descriptive(slot: str, scene: Scene, rng: np.random.Generator) -> Iterator[Candidate]:
    cautious = dataclasses.replace(scene, moving_speed=VISIBLY_MOVING)
    kept: Counter[tuple[str, str]] = Counter()
    texts = set()
    for _ in range(TRIES):
        row = _pick(rng, DESCRIPTIVE[slot])
        holes = _fillings(row, scene, rng)
        text, program = row.text.format(**holes), row.program.format(**holes).split()
        if text in texts or ("O" in holes and "Q" in holes and _pointless(holes, scene)):
            continue
        try:
            answer = executor.answer(program, scene)
            if "S" in holes and answer != executor.answer(program, cautious):
                continue
        except ExecutionError:
            continue
        subtype = holes["Q"].program if row.subtype == "query" else row.subtype
        if answer not in SHARES[subtype] or kept[subtype, answer] == ALIKE:
            continue
        kept[subtype, answer] += 1
        texts.add(text)
        wording = row.text.format(**{name: _blank(filling) for name, filling in holes.items()})
        share = SHARES[subtype][answer]
        tallies = [Tally(subtype, answer, share), Tally(f"{subtype}: {wording}", answer, share)]
        if row.subtype == "query":
            tallies.append(Tally("query", subtype, 1 / len(ATTRIBUTES)))
        question = {
            "question": text,
            "question_type": "descriptive",
            "question_subtype": subtype,
            "program": program,
            "answer": answer,
        }
        yield Candidate(slot, question, tuple(tallies))


def _fillings(row: Row, scene: Scene, rng: np.random.Generator) -> dict[str, Filling]:
    holes = {name: _pick(rng, HOLES[name]) for name in HOLES if f"{{{name}." in row.text}
    if "{A." in row.text:
        holes["A"] = the(scene, int(rng.integers(len(scene.objects))), rng)
    if "{O." in row.text:
        holes["O"] = _some(rng)
    return holes


def _some(rng: np.random.Generator) -> Filling:
    """Objects of any kind, or with one attribute in common."""
    if rng.random() < 0.35:
        return phrase({})
    name = _pick(rng, list(ATTRIBUTES))
    return phrase({name: _pick(rng, ATTRIBUTES[name])})


def _blank(filling: Filling) -> Filling:
    """A phrase with its values left out ("color object"); other fillings as they are."""
    if not filling.program.startswith("objects"):
        return filling
    text = " ".join([*sorted(filling.given), "object"])
    return filling._replace(text=text, plural=f"{text}s")


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
        yield from _asked(question, _mixed(choices, rng), negated)


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
        for choice in choices:
            # Told apart, so that what happens in the video does not give the answer away.
            choice["sort"] = "collided" if choice["objects"] in happened else "did not collide"
        # Pairs to which the removal makes a difference come first.
        choices.sort(key=lambda choice: (choice["objects"] in happened) == ((choice["answer"] == "correct") != negated))
        for most in (3, 4):
            mixed = _mixed(choices, rng, most=most)
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
            {"choice": choice, "program": program, "answer": label, "sort": subtype, "objects": tuple(objects)}
        )
    return choices


def _mixed(choices: Sequence[dict[str, Any]], rng: np.random.Generator, most: int = 4) -> list[dict[str, Any]]:
    """Two to `most` of the choices, the first ones preferred; how many of them are correct is drawn as RIGHT says."""
    correct = [choice for choice in choices if choice["answer"] == "correct"]
    wrong = [choice for choice in choices if choice["answer"] == "wrong"]
    size = min(most, len(choices))
    if size < 2:
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
    tallies = [
        Tally(f"{kind}{' not' if negated else ''}: {choice['sort']}", choice["answer"], 0.5) for choice in choices
    ]
    yield Candidate(kind, {**question, "choices": records}, tuple(tallies))


def _pick(rng: np.random.Generator, items: Sequence[Any]) -> Any:
    return items[int(rng.integers(len(items)))]


def _shuffled(items: Sequence[Any], rng: np.random.Generator) -> list[Any]:
    return [items[index] for index in rng.permutation(len(items))]
