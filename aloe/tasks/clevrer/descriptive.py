"""Descriptive questions that could be asked about a scene, with their answers.

Nothing is asked that a viewer could not tell, such as whether a slow object moves, or which of two nearly simultaneous
events came first.
"""

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterator

import numpy as np

from aloe.tasks.clevrer import executor
from aloe.tasks.clevrer.balance import Candidate, Tally
from aloe.tasks.clevrer.executor import ExecutionError, Scene
from aloe.tasks.clevrer.grammar import Filling, Sentence, sentences
from aloe.tasks.clevrer.phrases import pick, some, the
from aloe.tasks.clevrer.scenes import APART
from aloe.tasks.clevrer.templates import DESCRIPTIVE, HOLES, SHARES

# Faster than this is visibly moving. Questions whose answers would change with this threshold are not asked.
VISIBLY_MOVING = 0.15
TRIES = 48  # fillings tried per slot
ALIKE = 3  # candidates kept per subtype and answer


def descriptive(slot: str, scene: Scene, rng: np.random.Generator) -> Iterator[Candidate]:
    """Yields candidates for one slot (templates.SLOTS)."""
    cautious = dataclasses.replace(scene, moving_speed=VISIBLY_MOVING)
    milestones = {way: _milestones(scene, way) for way in ("in", "out")}
    kept: Counter[tuple[str, str]] = Counter()
    texts = set()
    for _ in range(TRIES):
        sentence = pick(rng, pick(rng, _sentences(slot)))
        phrases: dict[str, Filling] = {}
        given: frozenset[str] = frozenset()
        if "A" in sentence.holes:
            phrases["A"] = the(scene, int(rng.integers(len(scene.objects))), rng)
        if "O" in sentence.holes:
            phrases["O"], given = some(scene, rng)
        if "X" in sentence.holes:
            possible = milestones[_way(sentence)]
            if not possible:
                continue
            phrases["X"] = the(scene, pick(rng, possible), rng)
        text, program = sentence.fill(phrases)
        subtype = sentence.kind
        asked = subtype.removeprefix("query_")
        if text in texts or asked in given or (asked != subtype and "O" in phrases and _one(phrases["O"], scene)):
            continue
        try:
            answer = executor.answer(program, scene)
            if "motion" in slot and answer != executor.answer(program, cautious):
                continue
        except ExecutionError:
            continue
        if answer not in SHARES[subtype] or kept[subtype, answer] == ALIKE:
            continue
        kept[subtype, answer] += 1
        texts.add(text)
        wording = f"{sentence.text} {' '.join(sorted(given))}"
        tallies = [Tally(subtype, answer, SHARES[subtype][answer]), Tally(wording, answer, SHARES[subtype][answer])]
        if subtype in SHARES["query"]:
            tallies.append(Tally("query", subtype, SHARES["query"][subtype]))
        question = {
            "question": text,
            "question_type": "descriptive",
            "question_subtype": subtype,
            "program": program,
            "answer": answer,
        }
        yield Candidate(slot, question, tuple(tallies))


@functools.cache
def _sentences(slot: str) -> list[tuple[Sentence, ...]]:
    return [sentences(row, HOLES) for row in DESCRIPTIVE[slot]]


def _way(sentence: Sentence) -> str:
    """Whether X's entrance ("in") or its exit ("out") sets the time."""
    return "in" if "{X.program} unique filter_in" in sentence.program else "out"


def _milestones(scene: Scene, way: str) -> list[int]:
    """Objects whose only entrance or exit is well separated in time from all other events."""
    events = scene.events[1:-1]
    passings = [event for event in events if event.kind == way]
    alone = Counter(event.objects for event in passings)
    return [
        event.objects[0]
        for event in passings
        if alone[event.objects] == 1
        and all(other is event or abs((other.frame or 0) - (event.frame or 0)) >= APART for other in events)
    ]


def _one(phrase: Filling, scene: Scene) -> bool:
    """Whether the phrase fits at most one object, so that it would not matter what moves."""
    return len(executor.run(phrase.program.split(), scene)) < 2
