"""CLEVR's words, attributes and answers, and the conversion of text to ids.

Questions are lower-cased; `;` and `,` are words, `?` is not. Id 0 is padding.
"""

import re

import numpy as np

from aloe.errors import InputError, nearest

ATTRIBUTES = {
    "size": ("small", "large"),
    "color": ("gray", "red", "blue", "green", "brown", "purple", "cyan", "yellow"),
    "material": ("rubber", "metal"),
    "shape": ("cube", "sphere", "cylinder"),
}
RELATIONS = ("left", "right", "behind", "front")
ANSWERS = (*map(str, range(11)), "yes", "no", *(value for values in ATTRIBUTES.values() for value in values))
ANSWER_IDS = {answer: number for number, answer in enumerate(ANSWERS)}

# The words of the released question templates, with their synonyms.
_WORDS = """
; , a an and another any anything are as ball balls behind big block blocks blue both brown color cube cubes cyan
cylinder cylinders do does either else equal fewer front gray greater green has have how in is it its large left less
made many material matte metal metallic more number object objects of on or other purple red right rubber same shape
shiny side size small sphere spheres than that the there thing things tiny to visible what yellow
"""
WORDS = tuple(_WORDS.split())
WORD_IDS = {word: number for number, word in enumerate(WORDS, start=1)}
VOCABULARY_SIZE = len(WORDS) + 1  # including the padding id 0
QUESTION_LENGTH = 48

_WORD = re.compile(r"[^\s;,?]+|[;,]")


def tokenize(text: str) -> list[str]:
    """The words of a question, in lower case."""
    return _WORD.findall(text.lower())


def question_ids(text: str, length: int = QUESTION_LENGTH) -> np.ndarray:
    """Word ids of a question, int32 of shape [length], padded with 0 at the end.

    Raises:
      InputError: no words, more than `length`, or one outside the vocabulary; the message quotes text and word.
    """
    words = tokenize(text)
    if not 0 < len(words) <= length:
        raise InputError(f"question {text!r}: {len(words)} words, and there must be 1 to {length}")
    unknown = [word for word in words if word not in WORD_IDS]
    if unknown:
        raise InputError(f"question {text!r}: {unknown[0]!r} is outside the vocabulary{nearest(unknown[0], WORDS)}")
    ids_W = np.zeros(length, np.int32)
    ids_W[: len(words)] = [WORD_IDS[word] for word in words]
    return ids_W
