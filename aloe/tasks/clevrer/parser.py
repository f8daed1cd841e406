"""Parses text into programs, for questions that come without one, such as those of the test split.

It matches the templates that our own worlds' questions are written from (templates.py), those of the released ones.
"""

import functools
import re
from collections.abc import Iterable

from aloe.errors import InputError
from aloe.tasks.clevrer import templates
from aloe.tasks.clevrer.grammar import ATTRIBUTES, OBJECT_HOLES, Filling, Sentence, attributes_of, phrase

_PHRASE = "".join(f"(?:(?:{'|'.join(ATTRIBUTES[name])}) )?" for name in ("color", "material"))
_PHRASE += f"(?:{'|'.join(ATTRIBUTES['shape'])}|object)"


def question_program(text: str) -> list[str]:
    """The program of a question.

    Raises:
      InputError: no template says this; the message names the text.
    """
    return _parsed(text, "question")


def choice_program(text: str) -> list[str]:
    """The program of a choice: it yields an event or an object, and is to be followed by the question's.

    Raises:
      InputError: no template says this; the message names the text.
    """
    return _parsed(text, "choice")


def _parsed(text: str, kind: str) -> list[str]:
    for pattern, sentence in _grammar(kind):
        if found := pattern.fullmatch(text):
            phrases = {letter: phrase(attributes_of(words)) for letter, words in found.groupdict().items()}
            return sentence.fill(phrases)[1]
    raise InputError(
        f"{kind} {text!r}: no template of the released questions says this; mend the text (words, order, capitals and "
        "spaces as in the released files), or give the program beside it"
    )


@functools.cache
def _grammar(kind: str) -> list[tuple[re.Pattern[str], Sentence]]:
    found: Iterable[Sentence] = templates.of_questions() if kind == "question" else templates.of_choices()
    return [(_pattern(sentence), sentence) for sentence in found]


def _pattern(sentence: Sentence) -> re.Pattern[str]:
    """Matches the sentence with any phrases, each captured under its letter."""
    phrases = {
        letter: Filling(f"(?P<{letter}>{_PHRASE})", plural=f"(?P<{letter}>{_PHRASE}s)") for letter in OBJECT_HOLES
    }
    # The only regex metacharacter in any template is the question mark at its end.
    return re.compile(sentence.text.replace("?", r"\?").format(**phrases))
