"""Chooses each video's questions so that no answer is worth guessing: one pass over the videos, in order.

Each place in a video's list goes to the candidate whose answers are most underrepresented among those chosen so far,
within its subtype and among questions of the same wording. So what is asked does not depend on later videos.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from aloe.tasks.clevrer.templates import SLOTS


class Tally(NamedTuple):
    """A question's contribution to the balanced statistics: a `value`, with its target `share`, within a `group`.

    `weight` is its weight when candidates are compared.
    """

    group: str
    value: str
    share: float
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A question that could be asked: its slot, the official record without question_id, and its tallies."""

    slot: str
    question: dict[str, Any]
    tallies: tuple[Tally, ...]


def choose(videos: Iterable[list[Candidate]]) -> Iterator[list[dict[str, Any]]]:
    """Turns each video's candidates into its questions, numbered in official order; no two in a video are alike."""
    total: Counter[str] = Counter()
    count: Counter[tuple[str, str]] = Counter()

    def excess(candidate: Candidate) -> float:
        """Weighted mean of how far its answers exceed their target shares, in standard deviations."""
        sigmas = [
            weight * (count[group, value] - share * total[group]) / math.sqrt(share * total[group] + 1)
            for group, value, share, weight in candidate.tallies
        ]
        return sum(sigmas) / sum(tally.weight for tally in candidate.tallies)

    for candidates in videos:
        chosen: list[dict[str, Any]] = []
        for slot, places in SLOTS:
            for _ in range(places):
                texts = {question["question"] for question in chosen}
                fresh = [each for each in candidates if each.slot == slot and each.question["question"] not in texts]
                if not fresh:
                    break
                best = min(fresh, key=excess)
                chosen.append({"question_id": len(chosen), **best.question})
                for group, value, *_ in best.tallies:
                    total[group] += 1
                    count[group, value] += 1
        yield chosen
