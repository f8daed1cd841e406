"""CLEVR's metrics, and the table that shows them beside their controls: questions that are right, by family and group.

The family is what a program ends with, and says what is asked for; the group is that of the template, and says by how
many hops and relations of which kind it is to be found.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from tabulate import tabulate

from aloe.analysis.margin import margin
from aloe.tasks.clevr.examples import AskedQuestion
from aloe.tasks.clevr.programs import FAMILIES
from aloe.tasks.clevr.templates import NUMBERS
from aloe.tasks.clevr.vocabulary import ANSWERS

OVERALL = "accuracy"


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """What became of each of Q questions: all arrays have one entry a question.

    Attributes:
      family_Q: of each; empty where it has no program.
      group_Q: that of its template; empty where the file does not tell.
      image_Q: the scene index of its image.
      right_Q: bool.
    """

    family_Q: np.ndarray
    group_Q: np.ndarray
    image_Q: np.ndarray
    right_Q: np.ndarray

    def parts(self) -> dict[str, np.ndarray]:
        """By score the questions that it is of, bool [Q]; those of none are left out."""
        parts = {OVERALL: np.ones(len(self.right_Q), bool)}
        parts |= {family: self.family_Q == family for family in FAMILIES}
        for group in NUMBERS:
            # Questions that compare numbers are a family and a group of one name, and the same ones.
            parts[group] = parts.get(group, False) | (self.group_Q == group)
        return {name: part_Q for name, part_Q in parts.items() if part_Q.any()}


def outcomes(questions: Sequence[AskedQuestion], answer_Q: np.ndarray) -> Outcomes:
    """Compares predicted answers, as places in ANSWERS, with the right ones."""
    return Outcomes(
        np.array([record.question.family or "" for record in questions]),
        np.array([record.question.group or "" for record in questions]),
        np.array([record.scene_index for record in questions]),
        np.array(
            [record.question.answer == ANSWERS[answer] for record, answer in zip(questions, answer_Q, strict=True)]
        ),
    )


def percentages(results: Outcomes) -> dict[str, float]:
    """Percent right: "accuracy" of all questions, and by family and group of those that there are."""
    return {name: 100 * float(results.right_Q[part_Q].mean()) for name, part_Q in results.parts().items()}


def table(columns: Mapping[str, Outcomes]) -> str:
    """Percent right, of the model and of its controls, and by how many points it beats each of them.

    Args:
      columns: "model" first, then the controls by name; all of the same questions.
    """
    model = columns["model"]
    percents = {name: percentages(column) for name, column in columns.items()}
    rows = [
        [name, int(part_Q.sum()), *(percents[column][name] for column in columns)]
        for name, part_Q in model.parts().items()
    ]
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
