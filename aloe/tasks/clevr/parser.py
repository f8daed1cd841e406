"""Text → program, by the templates that a world's questions are made from."""

import functools
import re

from aloe.errors import InputError
from aloe.tasks.clevr import templates
from aloe.tasks.clevr.grammar import meaning, pattern, wordings, write
from aloe.tasks.clevr.programs import Program
from aloe.tasks.clevr.templates import Row


def question_program(text: str) -> tuple[Row, Program]:
    """The template of a question and its program.

    Raises:
      InputError: no template matches; the message quotes the text.
    """
    for expression, row in _sentences():
        if found := expression.fullmatch(text):
            fillings = {letter: meaning(letter, words) for letter, words in found.groupdict().items()}
            return row, write(row.functions, fillings)
    raise InputError(f"question {text!r}: no template of the groups {', '.join(templates.GROUPS)} says this")


@functools.cache
def _sentences() -> list[tuple[re.Pattern[str], Row]]:
    return [(pattern(words), row) for row in templates.ROWS for text in row.texts for words in wordings(text)]
