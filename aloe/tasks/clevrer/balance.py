"""Chooses each video's questions so that no answer is worth guessing: one pass over the videos, in order.

Of the candidates for a place in a video's list, the one is taken whose answers are most wanting among those chosen so
far: within its subtype, and within questions of the same wording. So what is asked depends only on the videos before.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from aloe.tasks.clevrer.templates import SLOTS


class Tally(NamedTuple):
    """What a question adds to the statistics to be balanced: one `value`, of the wanted `share`, within a `group`.

    `weight` says how much it counts when candidates are compared.
    """

    group: str
    value: str
    share: float
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A question that could be asked: its slot, the official record without question_id, and what it counts as."""

    slot: str
    question: dict[str, Any]
    tallies: tuple[Tally, ...]


def choose(videos: Iterable[list[Candidate]]) -> Iterator[list[dict[str, Any]]]:
    """Candidates of each video → its questions in official order, numbered; no two of a video alike."""
    total: Counter[str] = Counter()
    count: Counter[tuple[str, str]] = Counter()

    def excess(candidate: Candidate) -> float:
        """How far its answers are above their share, in standard deviations, on weighted average."""
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
