"""CLEVRER's words and answers, and text → ids.

The vocabulary is the released one (vocab.json of the authors' code): 81 question words with ids 1 to 81 and 21 answers
with ids 1 to 21, both in sorted order; id 0 is padding in both. Commas and apostrophes stay on their words: `cube,`
and `cube's` are words of their own.
"""

import difflib
import functools
from collections.abc import Sequence

import numpy as np

from aloe.errors import InputError

_WORDS = """
after and any are before begins between blue brown collide collides colliding collision collisions color cube cube's
cube, cubes cyan cylinder cylinder's cylinder, cylinders ends enter entering enters entrance event exit exiting exits
first following for gray green happen how if is last many material metal moving next not object object's object,
objects of presence purple red removed removed, responsible rubber scene second shape sphere sphere's sphere, spheres
stationary that the there to video what when which will with without yellow
"""
_ANSWERS = """
0 1 2 3 4 5 blue brown cube cyan cylinder gray green metal no purple red rubber sphere yellow yes
"""
WORDS = tuple(_WORDS.split())
ANSWERS = tuple(_ANSWERS.split())
WORD_IDS = {word: number for number, word in enumerate(WORDS, start=1)}
ANSWER_IDS = {answer: number for number, answer in enumerate(ANSWERS, start=1)}

QUESTION_VOCABULARY_SIZE = len(WORDS) + 1  # with the padding id 0
ANSWER_VOCABULARY_SIZE = len(ANSWERS) + 1
QUESTION_LENGTH = 20
CHOICE_LENGTH = 12


def tokenize(text: str) -> list[str]:
    """Splits text as the released code does: lower-cased, without `?`, at whitespace."""
    return text.lower().replace("?", "").split()


def question_ids(text: str, length: int = QUESTION_LENGTH) -> np.ndarray:
    """Ids of the words of a question, int32 of shape [length], padded with 0 at the end; read-only.

    Raises:
      InputError: no words, a word outside the vocabulary, or more than `length` words. The message names the text, the
        word and the nearest word; callers that know the file and the question add those (`aloe.data.fields.within`).
    """
    return _padded_ids(text, length, "question")


def choice_ids(text: str, length: int = CHOICE_LENGTH) -> np.ndarray:
    """The same for one choice (option) of a multiple-choice question."""
    return _padded_ids(text, length, "choice")


def answer_id(answer: str) -> int:
    """Id of a descriptive answer, 1 to 21.

    Raises:
      InputError: not an answer of CLEVRER; the message names the nearest one.
    """
    if answer not in ANSWER_IDS:
        raise InputError(f"answer {answer!r} is none of the {len(ANSWERS)} answers{_nearest(answer, ANSWERS)}")
    return ANSWER_IDS[answer]


@functools.lru_cache(maxsize=1 << 17)  # more than the questions and choices of all splits, as texts repeat
def _padded_ids(text: str, length: int, kind: str) -> np.ndarray:
    words = tokenize(text)
    if not words:
        raise InputError(f"{kind} {text!r}: it has no words")
    for word in words:
        if word not in WORD_IDS:
            raise InputError(
                f"{kind} {text!r}: {word!r} is outside the vocabulary of {len(WORDS)} words{_nearest(word, WORDS)}"
            )
    if len(words) > length:
        raise InputError(f"{kind} {text!r}: {len(words)} words, and at most {length} fit; shorten it")
    ids_W = np.zeros(length, np.int32)
    ids_W[: len(words)] = [WORD_IDS[word] for word in words]
    ids_W.setflags(write=False)
    return ids_W


def _nearest(word: str, known: Sequence[str]) -> str:
    return f"; the nearest is {difflib.get_close_matches(word.lower(), known, 1, cutoff=0.0)[0]!r}"
