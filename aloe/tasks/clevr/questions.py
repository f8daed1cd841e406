"""Questions in the format of the official files, grouped by image."""

import dataclasses
from typing import Any

from aloe.data.fields import field, optional_field, within
from aloe.errors import InputError, nearest
from aloe.tasks.clevr.programs import family_of
from aloe.tasks.clevr.templates import group_of
from aloe.tasks.clevr.vocabulary import ANSWER_IDS, ANSWERS, question_ids


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
      question_index: index within its split.
      text: as written.
      answer: one of ANSWERS; None if there is none.
      function: the last function of its program, which determines the kind of question; None without a program.
      group: the group of its template, one of `templates.NUMBERS`, which implies the number and kind of hops; None if
        the file does not say.
    """

    question_index: int
    text: str
    answer: str | None = None
    function: str | None = None
    group: str | None = None

    @property
    def family(self) -> str | None:
        """One of `programs.FAMILIES`; None without a program."""
        return family_of(self.function) if self.function else None


@dataclasses.dataclass(frozen=True, slots=True)
class ImageQuestions:
    """The questions about one image, in the order of the file.

    Attributes:
      scene_index: that of the image, unique across splits (see files.py).
      questions: those about it.
    """

    scene_index: int
    questions: tuple[Question, ...]


def parse_questions(
    entries: Any, image_name: str, first_index: int, *, labelled: bool
) -> tuple[list[ImageQuestions], list[str]]:
    """Reads the questions of a split.

    Args:
      entries: the field "questions" of the parsed JSON.
      image_name: format string of the split's image names, given the index: "CLEVR_train_{:06d}.png".
      first_index: scene index of image 0 of the split.
      labelled: whether every question must have an answer.

    Returns:
      The images with their valid questions, in the order of the file, and what is wrong with the other questions, each
      with its position and field.

    Raises:
      InputError: `entries` is not a list, or is empty.
    """
    if not isinstance(entries, list) or not entries:
        raise InputError("field 'questions' must be a list […] of questions")
    of_image: dict[int, list[Question]] = {}
    wrong, known = [], set()
    for place, entry in enumerate(entries):
        try:
            with within(f"question {place}"):
                image, question = parse_question(entry, image_name, labelled=labelled)
                if question.question_index in known:
                    raise InputError(f"field 'question_index' is {question.question_index} of an earlier question too")
        except InputError as error:
            wrong.append(str(error))
            continue
        known.add(question.question_index)
        of_image.setdefault(first_index + image, []).append(question)
    return [ImageQuestions(index, tuple(questions)) for index, questions in of_image.items()], wrong


def parse_question(entry: Any, image_name: str, *, labelled: bool) -> tuple[int, Question]:
    """Reads one question: the index of the image it is about, and the question itself.

    Raises:
      InputError: a field is missing or wrong, or the image's name does not match its index.
    """
    image, text = field(entry, "image_index", int), field(entry, "question", str)
    filename = field(entry, "image_filename", str)
    if image < 0 or filename != image_name.format(image):
        raise InputError(f"field 'image_filename' is {filename!r}, and image {image} is {image_name.format(image)!r}")
    question_ids(text)
    answer = optional_field(entry, "answer", str)
    if answer is None and labelled:
        raise InputError("field 'answer' is missing")
    if answer is not None and answer not in ANSWER_IDS:
        raise InputError(f"field 'answer' is {answer!r}, none of the {len(ANSWERS)} answers{nearest(answer, ANSWERS)}")
    nodes = optional_field(entry, "program", list)
    function = None
    if nodes:
        with within("the last node of the program"):
            function = field(nodes[-1], "function", str)
            family_of(function)
    number = optional_field(entry, "question_family_index", int)
    with within("field 'question_family_index'"):
        group = None if number is None else group_of(number)
    return image, Question(field(entry, "question_index", int), text, answer, function, group)
