"""CLEVR's metrics, and the table that compares them with their controls: accuracy by family and by group.

The family is given by a program's last function: what is asked for. The group is that of the template: over how many
hops, and relations of which kind, the answer is found.
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
    """The outcomes of Q questions; all arrays have one entry per question.

    Attributes:
      family_Q: family of each; empty if it has no program.
      group_Q: group of its template; empty if the file does not say.
      image_Q: scene index of its image.
      right_Q: bool, whether it was answered correctly.
    """

    family_Q: np.ndarray
    group_Q: np.ndarray
    image_Q: np.ndarray
    right_Q: np.ndarray

    def parts(self) -> dict[str, np.ndarray]:
        """Score → mask of the questions that it covers, bool [Q]; scores that cover none are left out."""
        parts = {OVERALL: np.ones(len(self.right_Q), bool)}
        parts |= {family: self.family_Q == family for family in FAMILIES}
        for group in NUMBERS:
            # compare_integer is the name of both a family and a group, which hold the same questions.
            parts[group] = parts.get(group, False) | (self.group_Q == group)
        return {name: part_Q for name, part_Q in parts.items() if part_Q.any()}


def outcomes(questions: Sequence[AskedQuestion], answer_Q: np.ndarray) -> Outcomes:
    """Compares predicted answers, as indices into ANSWERS, with the correct ones."""
    return Outcomes(
        np.array([record.question.family or "" for record in questions]),
        np.array([record.question.group or "" for record in questions]),
        np.array([record.scene_index for record in questions]),
        np.array(
            [record.question.answer == ANSWERS[answer] for record, answer in zip(questions, answer_Q, strict=True)]
        ),
    )


def percentages(results: Outcomes) -> dict[str, float]:
    """Percent correct: "accuracy" over all questions, and by family and group, where there are any."""
    return {name: 100 * float(results.right_Q[part_Q].mean()) for name, part_Q in results.parts().items()}


def table(columns: Mapping[str, Outcomes]) -> str:
    """Percent correct, for the model and its controls, and by how many points the model beats each control.

    Args:
      columns: "model" first, then the controls by name; all on the same questions.
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
