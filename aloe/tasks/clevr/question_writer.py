"""Questions about scenes: templates filled in, answered by the executor, and selected so that guessing does not pay.

Several fillings of a template are tried; of the meaningful ones, the one is selected whose answer is the most
under-represented so far, or none if all are too frequent. So the questions about an image depend on no other images
than those before it.
"""

import bisect
import functools
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from aloe.errors import InputError
from aloe.tasks.clevr import executor
from aloe.tasks.clevr.grammar import RELATION_HOLES, Description, Fillings, pick, say, write
from aloe.tasks.clevr.programs import FAMILIES, Program, family_of, to_json
from aloe.tasks.clevr.scenes import Scene
from aloe.tasks.clevr.templates import GROUPS, ROWS, Row
from aloe.tasks.clevr.vocabulary import ATTRIBUTES, RELATIONS

QUESTIONS = 10  # per image, as in the official set
TRIES = 24  # fillings tried per template
MOST_EXCESS = 0.5  # standard deviations by which an answer may exceed its share; beyond that it is not asked for
MOST = 3  # maximum number of attributes in a description that may fit several objects

# Target shares of the answers: uniform, except for numbers, of which large ones are rare.
COUNTS = (0.22, 0.26, 0.22, 0.14, 0.08, 0.04, 0.02, 0.01, 0.004, 0.004, 0.002)


class Asked(NamedTuple):
    """A candidate question, with the groups in which its answer is balanced."""

    row: Row
    fillings: Fillings
    program: Program
    answer: str

    @property
    def balanced_in(self) -> tuple[str, ...]:
        """Its template's group and function; for existence and for comparisons of numbers, also the descriptions.

        Otherwise the words would give the answer away: something small nearly always exists, a small red rubber cube
        seldom does; there are fewer red cubes than small things, never more red cubes than cubes, and fewer of
        anything that is described by a relation too.
        """
        kind = f"{self.row.group} {self.row.function}"
        if self.row.function == "exist":
            return kind, " ".join([kind, *self.fillings["B" if "B" in self.fillings else "A"]])
        if self.row.group == "compare_integer":
            one, other = self._counted()
            within = one.items() >= other.items(), other.items() >= one.items()
            return kind, f"{self.row.number} {_rarity(one)} {_rarity(other)}", f"{self.row.number} {within}"
        return (kind,)

    def _counted(self) -> list[Mapping[str, str]]:
        """The descriptions of the objects that are counted, one for each number."""
        told = [
            self.fillings[hole]
            for hole, following in itertools.pairwise(self.row.functions.split())
            if following == "count"
        ]
        return [each for each in told if not isinstance(each, str)]


def _rarity(told: Description) -> int:
    """0, 1 or 2, as one object in fewer than 4, in fewer than 16, or in 16 or more fits the description."""
    return bisect.bisect((4, 16), math.prod(len(ATTRIBUTES[name]) for name in told))


def share(function: str, answer: str) -> float:
    """The target share of an answer among questions whose program ends with a function."""
    if function == "count":
        return COUNTS[int(answer)]
    return 1 / len(ATTRIBUTES[function.removeprefix("query_")]) if function.startswith("query_") else 0.5


def rows_of(groups: Sequence[str]) -> dict[str, list[Row]]:
    """The templates of some groups, by question family; families without any are left out.

    Raises:
      InputError: one of the groups does not exist.
    """
    for group in groups:
        if group not in GROUPS:
            raise InputError(f"--questions={','.join(groups)}: no questions {group!r}; there are {', '.join(GROUPS)}")
    of_family = {
        family: [row for row in ROWS if row.group in groups and family_of(row.function) == family]
        for family in FAMILIES
    }
    return {family: rows for family, rows in of_family.items() if rows}


def ask(
    scenes: Iterable[tuple[Scene, np.random.Generator]], groups: Sequence[str] = GROUPS
) -> Iterator[list[dict[str, Any]]]:
    """Yields the questions of each scene, with the fields question, program, answer, question_family_index.

    Families take turns; within a family the template is drawn at random. An image has at most QUESTIONS questions.
    """
    of_family = rows_of(groups)
    total: Counter[str] = Counter()
    count: Counter[tuple[str, str]] = Counter()

    def excess(candidate: Asked) -> float:
        """How far its answer exceeds its share, in standard deviations, averaged over its groups."""
        aim = share(candidate.row.function, candidate.answer)
        sigmas = [
            (count[group, candidate.answer] - aim * total[group]) / math.sqrt(aim * total[group] + 1)
            for group in candidate.balanced_in
        ]
        return sum(sigmas) / len(sigmas)

    for scene, rng in scenes:
        chosen: list[dict[str, Any]] = []
        families = itertools.islice(itertools.cycle(of_family.items()), QUESTIONS)
        for _, rows in families:
            drawn = (min(candidates(row, scene, rng), key=excess, default=None) for row in _shuffled(rows, rng))
            best = next((each for each in drawn if each and excess(each) <= MOST_EXCESS), None)
            if best is None:
                continue
            text = say(pick(best.row.texts, rng), best.fillings, rng)
            if any(text == each["question"] for each in chosen):
                continue
            for group in best.balanced_in:
                total[group] += 1
                count[group, best.answer] += 1
            chosen.append(
                {
                    "question": text,
                    "program": to_json(best.program),
                    "answer": best.answer,
                    "question_family_index": best.row.number,
                }
            )
        yield chosen


def candidates(row: Row, scene: Scene, rng: np.random.Generator) -> list[Asked]:
    """Fillings of a template that make a meaningful question about the scene, with their answers."""
    found = []
    for _ in range(TRIES):
        fillings = _draw(row, scene, rng)
        if fillings is not None:
            program = write(row.functions, fillings)
            found.append(Asked(row, fillings, program, executor.answer(program, scene)))
    return found


def _draw(row: Row, scene: Scene, rng: np.random.Generator) -> Fillings | None:
    """Fills the holes of a template from the first function to the last; None if the question is meaningless.

    An object that must be unique is described uniquely. Every relation must have an effect, and the two sides of a
    comparison must not be the same objects.
    """
    fillings: dict[str, Description | str] = {}
    everything = frozenset(range(len(scene.objects)))
    sides: list[frozenset[int]] = []
    among, target = everything, -1
    without: frozenset[int] | None = None  # what `among` would be without the relation
    functions = row.functions.split()
    for name, following in itertools.zip_longest(functions, functions[1:], fillvalue=""):
        if name == "scene":
            among, without = everything, None
        elif name in RELATION_HOLES:
            relation = pick(RELATIONS, rng)
            fillings[name] = relation
            among, without = scene.related[relation][target], everything - {target}
        elif name.isupper():
            told: Description | None
            if following == "unique":
                last = functions[functions.index(name) + 2].startswith("query_")
                told = _only(scene, among, row.asked if last else "", rng)
            else:
                told = _any(scene, among if without is None else without, rng)
            if told is None:
                return None
            fillings[name] = told
            found = _like(scene, among, told)
            if without is not None and found == _like(scene, without, told):
                return None
            (target,) = found if following == "unique" else (-1,)
            among = found
        elif name in ("count", "exist") or name.startswith("query_"):
            sides.append(among)
    return None if len(sides) > 1 and sides[0] == sides[1] else fillings


def _like(scene: Scene, among: frozenset[int], told: Mapping[str, str]) -> frozenset[int]:
    """The objects that fit the whole description."""
    return frozenset(
        each for each in among if all(getattr(scene.objects[each], name) == value for name, value in told.items())
    )


def _only(scene: Scene, among: frozenset[int], asked: str, rng: np.random.Generator) -> Description | None:
    """A description that fits only one of some objects, without the attribute asked for; None if there is none."""
    if not among:
        return None
    target = pick(sorted(among), rng)
    for names in _shuffled(_subsets(tuple(name for name in ATTRIBUTES if name != asked)), rng):
        told = {name: getattr(scene.objects[target], name) for name in names}
        if _like(scene, among, told) == {target}:
            return told
    return None


def _any(scene: Scene, among: frozenset[int], rng: np.random.Generator) -> Description:
    """A description of an object or, half the time, of one that differs from it in one described attribute."""
    chosen = pick([each for each in _subsets(tuple(ATTRIBUTES)) if 0 < len(each) <= MOST], rng)
    like = scene.objects[pick(sorted(among), rng)]
    told = {name: getattr(like, name) for name in chosen}
    if rng.random() < 0.5:
        name = pick(chosen, rng)
        told[name] = pick([value for value in ATTRIBUTES[name] if value != told[name]], rng)
    return told


@functools.cache
def _subsets(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [each for size in range(len(names) + 1) for each in itertools.combinations(names, size)]


def _shuffled(items: Sequence[Any], rng: np.random.Generator) -> list[Any]:
    return [items[place] for place in rng.permutation(len(items))]
