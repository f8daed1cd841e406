"""CLEVR's metrics, and the table that shows them beside their controls: questions that are right, by family."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from tabulate import tabulate

from aloe.analysis.margin import margin
from aloe.tasks.clevr.examples import AskedQuestion
from aloe.tasks.clevr.programs import FAMILIES
from aloe.tasks.clevr.vocabulary import ANSWERS

OVERALL = "accuracy"


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """What became of each of Q questions: all arrays have one entry a question.

    Attributes:
      family_Q: of each; empty where it has no program.
      image_Q: the scene index of its image.
      right_Q: bool.
    """

    family_Q: np.ndarray
    image_Q: np.ndarray
    right_Q: np.ndarray


def outcomes(questions: Sequence[AskedQuestion], answer_Q: np.ndarray) -> Outcomes:
    """Compares predicted answers, as places in ANSWERS, with the right ones."""
    return Outcomes(
        np.array([record.question.family or "" for record in questions]),
        np.array([record.scene_index for record in questions]),
        np.array(
            [record.question.answer == ANSWERS[answer] for record, answer in zip(questions, answer_Q, strict=True)]
        ),
    )


def percentages(results: Outcomes) -> dict[str, float]:
    """Percent right: "accuracy" of all questions, and by family of those that there are."""
    shares = {OVERALL: results.right_Q.mean()}
    for family in FAMILIES:
        right_Q = results.right_Q[results.family_Q == family]
        if len(right_Q):
            shares[family] = right_Q.mean()
    return {name: 100 * float(share) for name, share in shares.items()}


def table(columns: Mapping[str, Outcomes]) -> str:
    """Percent right, of the model and of its controls, and by how many points it beats each of them.

    Args:
      columns: "model" first, then the controls by name; all of the same questions.
    """
    model = columns["model"]
    percents = {name: percentages(column) for name, column in columns.items()}
    numbers = {family: int((model.family_Q == family).sum()) for family in FAMILIES} | {OVERALL: len(model.right_Q)}
    rows = [[name, numbers[name], *(percents[column][name] for column in columns)] for name in percents["model"]]
    gains = [
        margin(model.right_Q.astype(float) - column.right_Q, model.image_Q)
        for name, column in columns.items()
        if name != "model"
    ]
    headers = ["Model minus", *(name for name in columns if name != "model")]
    return (
        f"{tabulate(rows, ['% right', 'questions', *columns], floatfmt='.1f')}\n\n"
        f"{tabulate([['questions', *gains]], headers, disable_numparse=True)}\n"
        "(points; in brackets a 95 % interval over images)"
    )
