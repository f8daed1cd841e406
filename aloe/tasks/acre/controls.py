"""Predictions without a model, from the configs alone: how far one gets without causal inference.

* majority: the most common label of the training split, at best 37 to 39 %.
* counts: for every object of a query, the number of lit and of unlit context panels it appears in; the prediction is
  the most common label of other problems with these counts. Fitted on IID problems, whatever the regime, it gets 85 to
  87 % of the official queries right, by mere correlation; fitted on Sys's own training split, whose panels are of
  another kind, 75 % of Sys.
"""

import functools
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from aloe.tasks.acre import generator
from aloe.tasks.acre.examples import AskedQuery, asked
from aloe.tasks.acre.objects import attributes

IID_PROBLEMS = 6_000  # as many as in an official training split
Counts = tuple[tuple[int, int], ...]


def majority(train: Sequence[AskedQuery], queries: Sequence[AskedQuery]) -> np.ndarray:
    """The most common label of the training split for every query, label_Q."""
    return np.full(len(queries), _commonest(Counter(record.query.label for record in train)))


@functools.cache
def iid_queries() -> list[AskedQuery]:
    """Queries of our own IID problems, for fitting `count_table`; no files needed."""
    drawn_as = generator.regime("IID", "train")
    objects = range(len(attributes("IID", "train")))
    draws = (np.random.default_rng((0, number)) for number in range(IID_PROBLEMS))
    return asked([generator.draw(drawn_as, objects, number, draw) for number, draw in enumerate(draws)])


def count_table(train: Sequence[AskedQuery], queries: Sequence[AskedQuery]) -> np.ndarray:
    """The most common label among training queries with the same counts, or among all if there are none, label_Q."""
    table: dict[Counts, Counter[int]] = defaultdict(Counter)
    for record in train:
        table[counts(record)][record.query.label] += 1
    of_all = sum(table.values(), Counter())
    return np.array([_commonest(table.get(counts(record), of_all)) for record in queries])


def counts(record: AskedQuery) -> Counts:
    """The numbers of lit and unlit panels that each object of the query appears in, without the objects' identity."""
    context = record.problem.context
    return tuple(
        sorted(
            (
                sum(each in panel.objects for panel in context if panel.lit),
                sum(each in panel.objects for panel in context if not panel.lit),
            )
            for each in record.query.objects
        )
    )


def _commonest(labels: Counter[int]) -> int:
    return min(labels, key=lambda label: (-labels[label], label))
