"""Problems and latents of one split as examples: videos of seven frames, the context and one query."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import grain
import numpy as np

from aloe.data.latents import LatentsStore
from aloe.data.streams import Example
from aloe.tasks.acre.problems import CONTEXT, QUERIES, Problem, Query

FRAMES = CONTEXT + 1


class AskedQuery(NamedTuple):
    """One query of a problem, by its index among the four."""

    problem: Problem
    place: int

    @property
    def query(self) -> Query:
        return self.problem.queries[self.place]


def asked(problems: Sequence[Problem]) -> list[AskedQuery]:
    """Every query of the problems, in order."""
    return [AskedQuery(problem, place) for problem in problems for place in range(QUERIES)]


@dataclasses.dataclass(frozen=True)
class Examples:
    """Makes examples of one split."""

    latents: LatentsStore

    def train(self, record: AskedQuery, rng: np.random.Generator) -> Example:
        """The context with a query, and the query's label."""
        return self.labelled(record, record.problem.scene_index)

    def unsupervised(self, record: Problem, rng: np.random.Generator) -> Example:
        """The context with a random query, without a label."""
        return {"latents": self.video(record.scene_index, int(rng.integers(QUERIES)))}

    def evaluation(self, records: Sequence[AskedQuery], seen: Mapping[int, int]) -> grain.MapDataset:
        """The queries in order, each with the panels of its own problem, or of the problem that `seen` maps it to."""

        def example(record: AskedQuery) -> Example:
            index = record.problem.scene_index
            return self.labelled(record, seen.get(index, index))

        return grain.MapDataset.source(records).map(example)

    def labelled(self, record: AskedQuery, scene_index: int) -> Example:
        return {"latents": self.video(scene_index, record.place), "label": np.int32(record.query.label)}

    def video(self, scene_index: int, query: int) -> np.ndarray:
        """latents_FxNxD of the six context panels, in order, followed by one query's."""
        return self.latents.read(scene_index)[[*range(CONTEXT), CONTEXT + query]]
