"""CLEVRER's metrics, and the table that compares them with the controls.

Descriptive questions: share answered correctly. Multiple choice: *per question*, the share with every option right,
which is what the paper reports, and *per option*. Questions are pooled over videos.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from tabulate import tabulate

from aloe.analysis.margin import margin
from aloe.tasks.clevrer import vocabulary
from aloe.tasks.clevrer.examples import AskedQuestion
from aloe.tasks.clevrer.questions import MAX_CHOICES, TYPES

Questions = Mapping[str, Sequence[AskedQuestion]]  # by group: "descriptive", "choice"


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """Results on each of Q questions: all arrays have one entry per question."""

    type_Q: np.ndarray
    video_Q: np.ndarray
    right_Q: np.ndarray  # bool: the whole question
    right_options_Q: np.ndarray
    options_Q: np.ndarray  # 0 for descriptive questions

    def where(self, chosen_Q: np.ndarray) -> "Outcomes":
        """Outcomes of the chosen questions only."""
        return Outcomes(*(getattr(self, field.name)[chosen_Q] for field in dataclasses.fields(self)))

    def of(self, question_type: str) -> "Outcomes":
        return self.where(self.type_Q == question_type)

    @property
    def per_question(self) -> float | None:
        """Percentage of the questions that are right; None if there are none."""
        return 100 * float(self.right_Q.mean()) if len(self.right_Q) else None

    @property
    def per_option(self) -> float | None:
        """Percentage of the options that are right; None if there are none."""
        options = self.options_Q.sum()
        return 100 * float(self.right_options_Q.sum() / options) if options else None


def outcomes(questions: Questions, predictions: Mapping[str, np.ndarray]) -> Outcomes:
    """Compares predictions with the answers.

    Args:
      questions: by group.
      predictions: "descriptive": answer ids [Q]; "choice": logits [Q, C], at least 0 for "correct".
    """
    rows = []
    for record, answer in zip(questions["descriptive"], predictions["descriptive"], strict=True):
        right = record.question.answer == vocabulary.ANSWERS[answer - 1]
        rows.append((record.question.type, record.scene_index, right, 0, 0))
    for record, logit_C in zip(questions["choice"], predictions["choice"], strict=True):
        choices = record.question.choices
        right = sum((logit >= 0) == choice.correct for logit, choice in zip(logit_C, choices, strict=False))
        rows.append((record.question.type, record.scene_index, right == len(choices), right, len(choices)))
    return Outcomes(*(np.array(column) for column in zip(*rows, strict=True)))


def percentages(results: Outcomes) -> dict[str, float]:
    """Percentages right per question, by type, and per option for the multiple-choice types."""
    scores: dict[str, float | None] = {}
    for question_type in TYPES:
        chosen = results.of(question_type)
        scores |= {question_type: chosen.per_question, f"{question_type}_options": chosen.per_option}
    return {name: score for name, score in scores.items() if score is not None}


def majority_predictions(train: Questions, questions: Questions) -> dict[str, np.ndarray]:
    """A control that sees no video: the training split's most common answer per subtype, or label per type."""
    answers: dict[str | None, Counter[str]] = {}
    for record in train["descriptive"]:
        answers.setdefault(record.question.subtype, Counter())[record.question.answer or ""] += 1
    overall = sum(answers.values(), Counter())
    labels: dict[str, int] = Counter()
    for record in train["choice"]:
        labels[record.question.type] += sum(1 if choice.correct else -1 for choice in record.question.choices)
    return {
        "descriptive": np.array(
            [
                vocabulary.answer_id(answers.get(record.question.subtype, overall).most_common(1)[0][0])
                for record in questions["descriptive"]
            ]
        ),
        "choice": np.array([[labels[record.question.type]] * MAX_CHOICES for record in questions["choice"]]),
    }


def table(columns: Mapping[str, Outcomes]) -> str:
    """Tabulates the percentage right by type, for the model and its controls.

    Below that, by how many points the model beats the controls that answer every question, with intervals.

    Args:
      columns: "model", "shuffled" (latents of other videos) and any others by name, which may omit questions.
    """
    model = columns["model"]
    types = [each for each in TYPES if len(model.of(each).right_Q)]
    rows = {each: {name: column.of(each) for name, column in columns.items()} for each in types}
    controls = [name for name, each in columns.items() if name != "model" and len(each.right_Q) == len(model.right_Q)]
    margins = [
        [name, *(margin(gained(row["model"], row[control]), row["model"].video_Q) for control in controls)]
        for name, row in {**rows, "all types": columns}.items()
    ]
    headers = ["Model minus", *controls]
    beaten = tabulate(margins, headers, disable_numparse=True)
    return (
        f"{percent_table('% right', rows)}\n\n{beaten}\n(points per question; in brackets a 95 % interval over videos)"
    )


def gained(results: Outcomes, control: Outcomes) -> np.ndarray:
    """For each question, 1 where only the results are right, −1 where only the control is, else 0."""
    return results.right_Q.astype(float) - control.right_Q


def percent_table(title: str, rows: Mapping[str, Mapping[str, Outcomes]]) -> str:
    """Tabulates the percentage right, per question and then per option.

    Args:
      title: header of the column of row names.
      rows: row → column → outcomes; the first column's questions are counted.
    """
    columns = list(next(iter(rows.values())))
    headers = [title, "questions"]
    for over in ("per question:", "per option:"):
        headers += [f"{over}\n{columns[0]}", *(name if "\n" in name else f"\n{name}" for name in columns[1:])]
    body = [
        [
            name,
            len(row[columns[0]].right_Q),
            *(row[column].per_question for column in columns),
            *(row[column].per_option for column in columns),
        ]
        for name, row in rows.items()
    ]
    return tabulate(body, headers, floatfmt=".1f", missingval="–")
