"""Problems of our own, drawn as the dataset's are.

Three panels of habituation show a blicket and a non-blicket, alone and together. Three of evidence make some of the
others known, and leave some that cannot be: "OnOffOff" lights one of them, "OnOnOff" two. Then two single objects are
asked about, and two that are added to an unlit panel.

Which way subsets and queries are drawn was fitted to the official validation configs; see the test of the statistics.
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
      lit: how many of the evidence panels may be lit, problem by problem in turn: 1 is OnOffOff, 2 is OnOnOff.
      spared: how many screened-off objects at least are not asked about by themselves.
    """

    lit: tuple[int, ...]
    spared: int


def regime(name: str, split: str) -> Regime:
    """How the problems of a split of IID, Comp or Sys are drawn."""
    if name == "Sys":
        return Regime((1,), 3) if split == "train" else Regime((2,), 1)
    return Regime((1, 2), 2 if name == "Comp" else 1)


def draw(drawn_as: Regime, pool: Objects, scene_index: int, rng: np.random.Generator) -> Problem:
    """One problem with objects of the pool, at least eight; every other problem of a split has the other `lit`."""
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
    """Two unlit panels that cover the plain objects; a lit one with all that is unknown, and some plain objects."""
    lit = Panel((*unknown, *subset(plain, 0, rng)), True)
    return [lit, *(Panel(part, False) for part in cover(plain, rng))]


def two_lit(unknown: Objects, plain: Objects, rng: np.random.Generator) -> list[Panel]:
    """An unlit panel with all plain objects; two lit ones that cover the unknown, each with some plain objects."""
    lit = [Panel((*part, *subset(plain, 0, rng)), True) for part in cover(unknown, rng)]
    return [*lit, Panel(tuple(plain), False)]


def cover(objects: Objects, rng: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two subsets, neither of them empty, that may overlap and are all objects together."""
    first = subset(objects, 1, rng)
    left = [each for each in objects if each not in first]
    return first, (*left, *subset(first, 0 if left else 1, rng))


def subset(objects: Objects, least: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Some of the objects, at least `least`: every number of them is as likely, and then every choice."""
    number = rng.integers(least, len(objects) + 1)
    return tuple(rng.permutation(np.array(objects, int))[:number].tolist())


def kinds(context: Sequence[Panel]) -> dict[int, str]:
    """The type of reasoning that tells each object's part, by object."""
    unlit, lit = solver.dark(context), [set(panel.objects) for panel in context if panel.lit]

    def kind(each: int) -> str:
        if each in unlit:
            return "screen_off" if any(each in objects for objects in lit) else "direct"
        if {each} in lit:
            return "direct"
        return "indirect" if {each} in solver.candidates(context) else "potential"

    return {each: kind(each) for panel in context for each in panel.objects}


def single(context: Sequence[Panel], spared: int, rng: np.random.Generator) -> list[Query]:
    """Two queries about one object each; one of them cannot be known if any cannot."""
    by_kind: dict[str, list[int]] = {name: [] for name in ("direct", "indirect", "screen_off", "potential")}
    for each, kind in kinds(context).items():
        by_kind[kind].append(each)
    numbers = {"potential": min(1, len(by_kind["potential"]))}
    left = 2 - numbers["potential"]
    while True:  # until not too many of them are screened off
        numbers["direct"] = int(rng.integers(min(left, len(by_kind["direct"])) + 1))
        numbers["indirect"] = int(rng.integers(min(left - numbers["direct"], len(by_kind["indirect"])) + 1))
        numbers["screen_off"] = left - numbers["direct"] - numbers["indirect"]
        if numbers["screen_off"] <= max(0, len(by_kind["screen_off"]) - spared):
            break
    chosen = [(kind, each) for kind, number in numbers.items() for each in shuffled(by_kind[kind], rng)[:number]]
    return [Query((each,), solver.label(context, (each,)), kind) for kind, each in shuffled(chosen, rng)]


def interventions(context: Sequence[Panel], rng: np.random.Generator) -> list[Query]:
    """Two queries about the objects of an unlit panel and something more.

    Something more is an object, or a set of which one at least is a blicket; what cannot be known is twice as likely.
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
    """Smallest sets of two or more objects of which one at least is a blicket, though none is known to be."""
    sets = [set(each) for each in dict.fromkeys(map(frozenset, solver.candidates(context)))]
    return [tuple(sorted(each)) for each in sets if len(each) > 1 and not any(other < each for other in sets)]


def shuffled(items: Sequence, rng: np.random.Generator) -> list:
    return [items[place] for place in rng.permutation(len(items))]


def statistics(problems: Sequence[Problem]) -> dict[str, float]:
    """Shares of labels and of types with their labels among the queries, as the dataset's description gives them."""
    queries = list(itertools.chain(*(problem.queries for problem in problems)))
    told = [f"label {query.label}" for query in queries] + [f"{query.type} {query.label}" for query in queries]
    return {name: told.count(name) / len(queries) for name in sorted(set(told))}
