"""ACRE's metrics, and the table that shows them next to those of the controls.

Accuracy over all queries, over the queries of each type, and over problems, which count if all four queries are right.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from tabulate import tabulate

from aloe.analysis.margin import margin
from aloe.tasks.acre.examples import AskedQuery
from aloe.tasks.acre.problems import TYPES

# The paper's names of the types.
NAMES = {kind: kind for kind in TYPES} | {"potential": "backward_blocking"}


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """The results of Q queries: all arrays have one entry per query."""

    type_Q: np.ndarray
    problem_Q: np.ndarray
    right_Q: np.ndarray  # bool


def outcomes(queries: Sequence[AskedQuery], label_Q: np.ndarray) -> Outcomes:
    """Compares predicted labels with the right ones."""
    return Outcomes(
        np.array([NAMES[record.query.type] for record in queries]),
        np.array([record.problem.scene_index for record in queries]),
        np.array([record.query.label for record in queries]) == label_Q,
    )


def percentages(results: Outcomes) -> dict[str, float]:
    """Percent right: "query" over all queries, "problem" over problems, and over each type of query that occurs."""
    _, problem_Q = np.unique(results.problem_Q, return_inverse=True)
    wrong_P = np.bincount(problem_Q, ~results.right_Q)
    shares = {"query": results.right_Q.mean(), "problem": (wrong_P == 0).mean()}
    of_type = {name: results.right_Q[results.type_Q == name] for name in NAMES.values()}
    shares |= {name: right_Q.mean() for name, right_Q in of_type.items() if len(right_Q)}
    return {name: 100 * float(share) for name, share in shares.items()}


def table(columns: Mapping[str, Outcomes]) -> str:
    """Percent right for the model and its controls, and by how many points the model beats each control.

    Args:
      columns: "model" first, then the controls by name; all for the same queries.
    """
    model = columns["model"]
    numbers = {"query": len(model.right_Q), "problem": len(set(model.problem_Q.tolist()))}
    numbers |= {name: int((model.type_Q == name).sum()) for name in NAMES.values()}
    percents = {name: percentages(column) for name, column in columns.items()}
    rows = [
        [name, numbers[name], *(percents[column][name] for column in columns)] for name in next(iter(percents.values()))
    ]
    beaten = [
        ["Model minus", *(name for name in columns if name != "model")],
        [
            "queries",
            *(
                margin(model.right_Q.astype(float) - column.right_Q, model.problem_Q)
                for name, column in columns.items()
                if name != "model"
            ),
        ],
    ]
    return (
        f"{tabulate(rows, ['% right', 'number', *columns], floatfmt='.1f')}\n\n"
        f"{tabulate(beaten[1:], beaten[0], disable_numparse=True)}\n"
        "(points; in brackets a 95 % interval over problems)"
    )
