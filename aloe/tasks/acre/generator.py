"""Our own problems, generated like the dataset's.

Three habituation panels show a blicket and a non-blicket, alone and together. Three evidence panels determine some of
the other objects and may leave some undetermined: "OnOffOff" lights one of these panels, "OnOnOff" two. Two queries
then ask about single objects, and two (interventions) about an unlit panel with objects added.

How subsets and queries are drawn was fitted to the official validation configs; see the test of the statistics.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from aloe.tasks.acre import solver
from aloe.tasks.acre.problems import CONTEXT, Problem, Query
from aloe.tasks.acre.solver import Panel

Objects = Sequence[int]


class Regime(NamedTuple):
    """How the problems of a regime and split are drawn.

    Attributes:
      lit: possible numbers of lit evidence panels, which problems cycle through: 1 is OnOffOff, 2 is OnOnOff.
      spared: minimum number of screened-off objects that single-object queries leave out.
    """

    lit: tuple[int, ...]
    spared: int


def regime(name: str, split: str) -> Regime:
    """The `Regime` for a split of IID, Comp or Sys."""
    if name == "Sys":
        return Regime((1,), 3) if split == "train" else Regime((2,), 1)
    return Regime((1, 2), 2 if name == "Comp" else 1)


def draw(drawn_as: Regime, pool: Objects, scene_index: int, rng: np.random.Generator) -> Problem:
    """Draws a problem with objects from the pool of at least eight; the scene index cycles through `drawn_as.lit`."""
    lit = drawn_as.lit[scene_index % len(drawn_as.lit)]
    potentials, others = (
        (rng.integers(2, 4), rng.integers(3, 6))
        if lit == 1
        else (
            rng.integers(2, 5),
            rng.integers(3, 5),
        )
    )
    objects = rng.choice(pool, potentials + others, replace=False).tolist()
    unknown, plain = objects[1:potentials], objects[potentials + 1 :]
    first, other = objects[0], objects[potentials]
    habituation = [Panel((first,), True), Panel((other,), False), Panel((first, other), True)]
    evidence = one_lit(unknown, plain, rng) if lit == 1 else two_lit(unknown, plain, rng)
    context = [*shuffled(habituation, rng), *shuffled(evidence, rng)]
    context = [Panel(tuple(shuffled(panel.objects, rng)), panel.lit) for panel in context]
    queries = [*single(context, drawn_as.spared, rng), *interventions(context, rng)]
    return Problem(scene_index, tuple(context), tuple(queries))


def one_lit(unknown: Objects, plain: Objects, rng: np.random.Generator) -> list[Panel]:
    """Two unlit panels that cover the plain objects, and a lit one with all unknown and some plain objects."""
    lit = Panel((*unknown, *subset(plain, 0, rng)), True)
    return [lit, *(Panel(part, False) for part in cover(plain, rng))]


def two_lit(unknown: Objects, plain: Objects, rng: np.random.Generator) -> list[Panel]:
    """An unlit panel with all plain objects, and two lit ones that cover the unknown, each with some plain objects."""
    lit = [Panel((*part, *subset(plain, 0, rng)), True) for part in cover(unknown, rng)]
    return [*lit, Panel(tuple(plain), False)]


def cover(objects: Objects, rng: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two non-empty subsets, possibly overlapping, whose union is all objects."""
    first = subset(objects, 1, rng)
    left = [each for each in objects if each not in first]
    return first, (*left, *subset(first, 0 if left else 1, rng))


def subset(objects: Objects, least: int, rng: np.random.Generator) -> tuple[int, ...]:
    """A random subset of at least `least` objects: uniform over sizes, then over subsets of that size."""
    number = rng.integers(least, len(objects) + 1)
    return tuple(rng.permutation(np.array(objects, int))[:number].tolist())


def kinds(context: Sequence[Panel]) -> dict[int, str]:
    """Object → the type of reasoning that its role follows from."""
    unlit, lit = solver.dark(context), [set(panel.objects) for panel in context if panel.lit]

    def kind(each: int) -> str:
        if each in unlit:
            return "screen_off" if any(each in objects for objects in lit) else "direct"
        if {each} in lit:
            return "direct"
        return "indirect" if {each} in solver.candidates(context) else "potential"

    return {each: kind(each) for panel in context for each in panel.objects}


def single(context: Sequence[Panel], spared: int, rng: np.random.Generator) -> list[Query]:
    """Two queries about one object each; one is about an undetermined object, if there are any."""
    by_kind: dict[str, list[int]] = {name: [] for name in ("direct", "indirect", "screen_off", "potential")}
    for each, kind in kinds(context).items():
        by_kind[kind].append(each)
    numbers = {"potential": min(1, len(by_kind["potential"]))}
    left = 2 - numbers["potential"]
    while True:  # redraws until few enough are screened off
        numbers["direct"] = int(rng.integers(min(left, len(by_kind["direct"])) + 1))
        numbers["indirect"] = int(rng.integers(min(left - numbers["direct"], len(by_kind["indirect"])) + 1))
        numbers["screen_off"] = left - numbers["direct"] - numbers["indirect"]
        if numbers["screen_off"] <= max(0, len(by_kind["screen_off"]) - spared):
            break
    chosen = [(kind, each) for kind, number in numbers.items() for each in shuffled(by_kind[kind], rng)[:number]]
    return [Query((each,), solver.label(context, (each,)), kind) for kind, each in shuffled(chosen, rng)]


def interventions(context: Sequence[Panel], rng: np.random.Generator) -> list[Query]:
    """Two queries about the objects of an unlit panel plus an addition.

    The addition is one object, or a set with at least one blicket; undetermined objects are twice as likely.
    """
    ref = int(rng.choice([place for place in range(CONTEXT) if not context[place].lit]))
    base, kind_of = context[ref].objects, kinds(context)
    more: list[tuple[tuple[int, ...], str]]
    more = [((each,), kind) for each, kind in kind_of.items() if each not in base]
    more += [((each,), kind) for each, kind in kind_of.items() if kind == "potential"]
    more += [(each, "indirect") for each in blicket_sets(context)]
    drawn = [more[place] for place in rng.choice(len(more), 2, replace=False)]
    return [Query((*base, *added), solver.label(context, (*base, *added)), kind, ref) for added, kind in drawn]


def blicket_sets(context: Sequence[Panel]) -> list[tuple[int, ...]]:
    """Minimal sets of two or more objects, at least one of which is a blicket, though no single one is known to be."""
    sets = [set(each) for each in dict.fromkeys(map(frozenset, solver.candidates(context)))]
    return [tuple(sorted(each)) for each in sets if len(each) > 1 and not any(other < each for other in sets)]


def shuffled(items: Sequence, rng: np.random.Generator) -> list:
    return [items[place] for place in rng.permutation(len(items))]


def statistics(problems: Sequence[Problem]) -> dict[str, float]:
    """Fractions of the queries by label, and by type and label, as the dataset's description gives them."""
    queries = list(itertools.chain(*(problem.queries for problem in problems)))
    told = [f"label {query.label}" for query in queries] + [f"{query.type} {query.label}" for query in queries]
    return {name: told.count(name) / len(queries) for name in sorted(set(told))}
