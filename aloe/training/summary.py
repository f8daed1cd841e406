"""Results of runs that differ only in their seed, as mean and standard deviation."""

import csv
import dataclasses
import io
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence

from tabulate import tabulate

from aloe.training.log import DIAGNOSIS

FORMATS = ("md", "csv", "json")


@dataclasses.dataclass(frozen=True)
class Summary:
    """One score of several runs.

    Attributes:
      labels: what the runs have in common, in words, such as {"variant": "paper"}.
      split: the split that was scored.
      score: its name; for a number that is not a percentage, its name in the metrics, which begins with DIAGNOSIS.
      n: number of runs.
      mean: over runs.
      std: sample standard deviation over runs (divided by n − 1); None for a single run.
    """

    labels: Mapping[str, str]
    split: str
    score: str
    n: int
    mean: float
    std: float | None


def summarize(results: Iterable[tuple[Mapping[str, str], Mapping[str, float]]], split: str) -> list[Summary]:
    """Groups runs by their labels; groups and scores are in order of first appearance.

    Args:
      results: labels and scores of each run; all runs have the same label names.
      split: the split that was scored.
    """
    groups: dict[tuple[tuple[str, str], ...], dict[str, list[float]]] = {}
    for labels, scores in results:
        group = groups.setdefault(tuple(labels.items()), {})
        for score, value in scores.items():
            group.setdefault(score, []).append(value)
    return [
        Summary(
            labels=dict(labels),
            split=split,
            score=score,
            n=len(values),
            mean=statistics.fmean(values),
            std=statistics.stdev(values) if len(values) > 1 else None,
        )
        for labels, group in groups.items()
        for score, values in group.items()
    ]


def table(summaries: Sequence[Summary], format: str) -> str:
    """Text in one of the FORMATS: Markdown tables with one row per group, or CSV and JSON with one record per score.

    In Markdown the first table has the percentages, and a second one any other numbers.
    """
    records = [
        {**each.labels, "split": each.split, "score": each.score, "n": each.n, "mean": each.mean, "std": each.std}
        for each in summaries
    ]
    if format == "json":
        return json.dumps(records, indent=2)
    if format == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(records[0]) if records else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        return text.getvalue().rstrip("\n")
    scores = [each for each in summaries if not each.score.startswith(DIAGNOSIS)]
    others = [each for each in summaries if each.score.startswith(DIAGNOSIS)]
    return "\n\n".join(_markdown(part, digits) for part, digits in ((scores, ".1f"), (others, ".3g")) if part)


def _markdown(summaries: Sequence[Summary], digits: str) -> str:
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for each in summaries:
        row = rows.setdefault(
            (*each.labels.values(), str(each.n)), {**each.labels, "split": each.split, "n": str(each.n)}
        )
        std = "" if each.std is None else f" ± {each.std:{digits}}"
        row[each.score.removeprefix(DIAGNOSIS)] = f"{each.mean:{digits}}{std}"
    return tabulate(list(rows.values()), headers="keys", tablefmt="github", disable_numparse=True, missingval="–")
