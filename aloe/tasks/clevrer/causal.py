"""Multiple-choice questions that could be asked about a scene: why something happened, what comes next, and what if.

No choice depends on what a viewer could not tell: pairs that may or may not have touched (truth.py) are left out.
"""

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from aloe.tasks.clevrer import executor, templates
from aloe.tasks.clevrer.balance import Candidate, Tally
from aloe.tasks.clevrer.executor import Scene
from aloe.tasks.clevrer.grammar import Row, Sentence, sentences
from aloe.tasks.clevrer.phrases import pick, shuffled, the
from aloe.tasks.clevrer.templates import SHARES

TRIES = 4  # sets of choices drawn per question
LABELS = 2  # weight of a question's choice labels, relative to 1 for how many are correct, what they are about, …


class _Choice(NamedTuple):
    record: dict[str, Any]  # as in the files, without choice_id
    sort: str  # choices are balanced within each sort
    objects: tuple[int, ...]

    @property
    def correct(self) -> bool:
        return bool(self.record["answer"] == "correct")


def explanatory(scene: Scene, rng: np.random.Generator) -> Iterator[Candidate]:
    """What is responsible for a collision or an exit? Four choices, of which none to all are correct."""
    effects = [event for event in scene.events if event.kind in ("collision", "out")]
    wanted = SHARES["explanatory choices"]
    for effect, negated in itertools.product(effects, (False, True)):
        kind = "exit" if effect.kind == "out" else "collision"
        question, named = _question(scene, rng, templates.EXPLANATORY, kind, effect.objects, negated)
        subjects: list[tuple[str, tuple[int, ...]]] = [("presence", (item.index,)) for item in scene.objects]
        subjects += [("collision", event.objects) for event in scene.collisions if event is not effect]
        subjects += [("entrance", event.objects) for event in scene.events if event.kind == "in"]
        known = {f"the presence of the {text}" for text in named}
        choices = _choices(scene, rng, templates.CAUSES, subjects, question)
        choices = [each for each in choices if each.record["choice"] not in known]
        weights = [wanted[each.sort] for each in choices]
        for _ in range(TRIES):
            if chosen := _drawn(choices, 4, SHARES["explanatory correct"], rng, weights):
                tallies = [
                    Tally("explanatory effects", kind, SHARES["explanatory effects"][kind]),
                    *(
                        Tally("explanatory choices", each.sort, wanted[each.sort], weight=1 / len(chosen))
                        for each in chosen
                    ),
                ]
                yield _candidate(question, chosen, negated, tallies)


def predictive(scene: Scene, truth: Mapping[str, Any], rng: np.random.Generator) -> Iterator[Candidate]:
    """What will happen next? Two choices, one correct; if possible, an object in the wrong one is still moving."""
    moving = {item.index for item in executor.run(["objects", "end", "get_frame", "filter_moving"], scene)}
    question, _ = _question(scene, rng, templates.PREDICTIVE, "predictive", (), False)
    subjects = [("collision", pair) for pair in _clear_pairs(scene, truth["unseen"])]
    choices = _choices(scene, rng, templates.OUTCOMES, subjects, question)
    wrong = [each for each in choices if not each.correct]
    tempting = [each for each in wrong if moving.intersection(each.objects)]
    for right in (each for each in choices if each.correct):
        if wrong:
            yield _candidate(question, shuffled([right, pick(rng, tempting or wrong)], rng), False, [])


def counterfactual(scene: Scene, truth: Mapping[str, Any], rng: np.random.Generator) -> Iterator[Candidate]:
    """What would happen without an object? Two to four choices, which never name it."""
    happened = {event.objects for event in (*scene.collisions, *(scene.unseen or ()))}
    sizes = SHARES["counterfactual size"]
    for entry, negated in itertools.product(truth["counterfactual"], (False, True)):
        removed = entry["removed"]
        question, _ = _question(scene, rng, templates.COUNTERFACTUAL, "counterfactual", (removed,), negated)
        subjects = [("collision", pair) for pair in _clear_pairs(scene, entry) if removed not in pair]
        choices = [
            # Separate sorts, so that what actually happens does not give the answer away.
            each._replace(sort="collided" if each.objects in happened else "did not collide")
            for each in _choices(scene, rng, templates.OUTCOMES, subjects, question)
        ]
        # Pairs for which the removal makes a difference are rare, and are the point of the question.
        weights = [1.0 if (each.objects in happened) == (each.correct != negated) else 20.0 for each in choices]
        for _ in range(TRIES):
            size = str(rng.choice(list(sizes), p=list(sizes.values())))
            if chosen := _drawn(choices, int(size), SHARES["counterfactual correct"], rng, weights):
                yield _candidate(question, chosen, negated, [Tally("counterfactual size", size, sizes[size])])


def _clear_pairs(scene: Scene, entry: Mapping[str, Any]) -> list[tuple[int, int]]:
    unclear = {tuple(pair) for pair in entry["unclear"]}
    return [pair for pair in itertools.combinations(range(len(scene.objects)), 2) if pair not in unclear]


@functools.cache
def _sentences(rows: tuple[Row, ...], kind: str) -> list[tuple[Sentence, ...]]:
    return [sentences(row, templates.HOLES) for row in rows if row.kind == kind]


def _question(
    scene: Scene, rng: np.random.Generator, rows: tuple[Row, ...], kind: str, objects: Sequence[int], negated: bool
) -> tuple[dict[str, Any], list[str]]:
    """Returns a question without its choices, and the phrases that name its objects."""
    wanted = [each for each in pick(rng, _sentences(rows, kind)) if each.program.endswith("negate") == negated]
    sentence = pick(rng, wanted)
    phrases = [the(scene, index, rng) for index in shuffled(objects, rng)]
    text, program = sentence.fill(dict(zip(sorted(sentence.holes), phrases, strict=True)))
    return {"question": text, "question_type": _TYPES[rows], "program": program}, [each.text for each in phrases]


_TYPES = {
    templates.EXPLANATORY: "explanatory",
    templates.PREDICTIVE: "predictive",
    templates.COUNTERFACTUAL: "counterfactual",
}


def _choices(
    scene: Scene,
    rng: np.random.Generator,
    rows: tuple[Row, ...],
    subjects: Iterable[tuple[str, tuple[int, ...]]],
    question: Mapping[str, Any],
) -> list[_Choice]:
    """Makes one labelled choice per subject; a subject is the kind of choice and its objects."""
    choices = []
    for kind, objects in subjects:
        (sentence,) = pick(rng, _sentences(rows, kind))
        phrases = (the(scene, index, rng) for index in shuffled(objects, rng))
        text, program = sentence.fill(dict(zip(sorted(sentence.holes), phrases, strict=True)))
        label = executor.judge(program, question["program"], scene)
        choices.append(_Choice({"choice": text, "program": program, "answer": label}, kind, tuple(objects)))
    return choices


def _drawn(
    choices: Sequence[_Choice],
    size: int,
    shares: Mapping[str, float],
    rng: np.random.Generator,
    weights: Sequence[float],
) -> list[_Choice]:
    """Draws `size` choices by weight, the number of correct ones according to `shares`. Returns [] if too few."""
    order = np.argsort(rng.exponential(size=len(choices)) / np.asarray(weights, float))
    correct = [choices[index] for index in order if choices[index].correct]
    wrong = [choices[index] for index in order if not choices[index].correct]
    possible = [n for n in range(size + 1) if str(n) in shares and n <= len(correct) and size - n <= len(wrong)]
    if not possible:
        return []
    share = np.array([shares[str(n)] for n in possible])
    right = int(rng.choice(possible, p=share / share.sum()))
    return shuffled([*correct[:right], *wrong[: size - right]], rng)


def _candidate(
    question: Mapping[str, Any], choices: Sequence[_Choice], negated: bool, tallies: Sequence[Tally]
) -> Candidate:
    kind = question["question_type"]
    records = [{"choice_id": place, **each.record} for place, each in enumerate(choices)]
    labels = [
        Tally(
            f"{kind}{' not' if negated else ''}: {each.sort}",
            each.record["answer"],
            _share(kind, each.correct),
            weight=LABELS / len(choices),
        )
        for each in choices
    ]
    right = str(sum(each.correct for each in choices))
    many = SHARES.get(f"{kind} correct", {"1": 1.0})
    whole = [Tally(f"{kind} correct", right, many[right])]
    if kind != "predictive":
        whole.append(Tally(f"{kind} denied", str(negated), 0.5))
    return Candidate(kind, {**question, "choices": records}, (*labels, *tallies, *whole))


@functools.cache
def _share(kind: str, correct: bool) -> float:
    """Share of correct or wrong labels among a type's choices, as implied by the shares of sizes and correct counts."""
    if kind == "predictive":
        return 0.5
    size = sum(int(n) * share for n, share in SHARES.get(f"{kind} size", {"4": 1.0}).items())
    right = sum(int(n) * share for n, share in SHARES[f"{kind} correct"].items()) / size
    return right if correct else 1 - right
