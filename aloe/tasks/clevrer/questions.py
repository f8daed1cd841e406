"""The entries of CLEVRER's question files as frozen dataclasses, checked field by field.

Which keys are present varies: multiple-choice questions have no subtype and no answer of their own, the test split has
neither answers nor programs, and programs may be missing anywhere. Unused keys are not read.
"""

import sys
from dataclasses import dataclass
from typing import Any

from aloe.data.fields import field, one_of, optional_field, require_unique, within
from aloe.errors import InputError
from aloe.tasks.clevrer import vocabulary

TYPES = ("descriptive", "explanatory", "predictive", "counterfactual")
SUBTYPES = ("count", "exist", "query_color", "query_material", "query_shape")
MAX_CHOICES = 4


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a multiple-choice question; `correct` is None where the split has no answers."""

    choice_id: int
    text: str
    correct: bool | None
    program: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Question:
    """One question. Descriptive ones have a subtype and an answer, the others choices, any number of them correct.

    `answer` is None for multiple choice and where the split has no answers, `subtype` where the file gives none,
    `program` where it is missing.
    """

    question_id: int
    text: str
    type: str
    subtype: str | None
    answer: str | None
    choices: tuple[Choice, ...]
    program: tuple[str, ...] | None

    @property
    def is_descriptive(self) -> bool:
        return self.type == "descriptive"


@dataclass(frozen=True, slots=True)
class VideoQuestions:
    """All the questions of one video."""

    scene_index: int
    questions: tuple[Question, ...]


def parse_questions(entries: Any, labelled: bool) -> tuple[list[VideoQuestions], list[str]]:
    """Parses the content of a question file.

    Args:
      entries: the JSON list, an entry for each video.
      labelled: whether answers are required (train and validation; test has none, but they are read if given).

    Returns:
      The valid entries in file order, and the problems of the others, each with scene index, question id and field.

    Raises:
      InputError: this is not a list, or it is empty.
    """
    if not isinstance(entries, list) or not entries:
        raise InputError("the file must be a list with an entry for each video")
    scenes: dict[int, VideoQuestions] = {}
    problems = []
    for place, entry in enumerate(entries):
        try:
            with within(f"entry {place}"):
                scene_index = field(entry, "scene_index", int)
                listed = field(entry, "questions", list)
                if scene_index in scenes:
                    raise InputError(f"field 'scene_index' is {scene_index}, which an entry before it has too")
        except InputError as error:
            problems.append(str(error))
            continue
        questions: dict[int, Question] = {}
        for record in listed:
            try:
                with within(f"scene_index {scene_index}"):
                    question = parse_question(record, labelled)
                    if question.question_id in questions:
                        raise InputError(f"field 'question_id' is {question.question_id} in two questions")
                questions[question.question_id] = question
            except InputError as error:
                problems.append(str(error))
        scenes[scene_index] = VideoQuestions(scene_index, tuple(questions.values()))
    return list(scenes.values()), problems


def parse_question(record: Any, labelled: bool) -> Question:
    """Parses one entry of a video's list `questions`; `labelled` as in `parse_questions`.

    Raises:
      InputError: a field is missing or wrong, a word is outside the vocabulary, a text is too long, or there are more
        than 4 choices. The message names the question and the field.
    """
    question_id = field(record, "question_id", int)
    with within(f"question_id {question_id}"):
        text = field(record, "question", str)
        vocabulary.question_ids(text)
        kind = one_of(record, "question_type", TYPES)
        answer = subtype = None
        choices: tuple[Choice, ...] = ()
        if kind == "descriptive":
            if optional_field(record, "question_subtype", str) is not None:
                subtype = one_of(record, "question_subtype", SUBTYPES)
            if labelled or optional_field(record, "answer", str) is not None:
                answer = field(record, "answer", str)
                vocabulary.answer_id(answer)
        else:
            # In this family of data sets, a few questions have an empty list or no list.
            listed = optional_field(record, "choices", list) or []
            if len(listed) > MAX_CHOICES:
                raise InputError(f"field 'choices' has {len(listed)} entries; at most {MAX_CHOICES} fit")
            choices = tuple(_parse_choice(choice, labelled) for choice in listed)
            require_unique("choice_id", [choice.choice_id for choice in choices])
        return Question(question_id, text, kind, subtype, answer, choices, _parse_program(record))


def _parse_choice(record: Any, labelled: bool) -> Choice:
    choice_id = field(record, "choice_id", int)
    with within(f"choice_id {choice_id}"):
        text = field(record, "choice", str)
        vocabulary.choice_ids(text)
        correct = None
        if labelled or optional_field(record, "answer", str) is not None:
            correct = one_of(record, "answer", ("correct", "wrong")) == "correct"
        return Choice(choice_id, text, correct, _parse_program(record))


def _parse_program(record: Any) -> tuple[str, ...] | None:
    program = optional_field(record, "program", list)
    if program is None:
        return None
    if not all(isinstance(token, str) for token in program):
        raise InputError("field 'program' must be a list of strings")
    return tuple(map(sys.intern, program))  # millions of tokens, 47 distinct ones
