import numpy as np
import pytest

from aloe.errors import InputError
from aloe.tasks.clevr import templates, vocabulary
from aloe.tasks.clevr.grammar import RELATION_HOLES, SYNONYMS, wordings
from aloe.tasks.clevr.vocabulary import ANSWERS, ATTRIBUTES, RELATIONS, WORDS, question_ids, tokenize


def test_there_are_the_28_answers():
    assert len(ANSWERS) == len(set(ANSWERS)) == 28
    assert {"0", "10", "yes", "no", "cylinder", "rubber", "large", "yellow"} <= set(ANSWERS)


def test_words_are_cut_at_spaces_and_marks():
    text = "There is a big cube, red; what shape is it?"
    assert tokenize(text) == ["there", "is", "a", "big", "cube", ",", "red", ";", "what", "shape", "is", "it"]
    ids_W = question_ids(text)
    assert ids_W.shape == (vocabulary.QUESTION_LENGTH,)
    assert [WORDS[number - 1] for number in ids_W[:12]] == tokenize(text)
    assert not ids_W[12:].any()
    assert ids_W.dtype == np.int32


def test_every_template_and_synonym_can_be_said_and_fits():
    longest = "tiny yellow metallic cylinder"
    for row in templates.ROWS:
        for text in (words for each in row.texts for words in wordings(each)):
            for letter in RELATION_HOLES:
                text = text.replace(f"{{{letter}.text}}", "on the left side of")
            for letter in "ABCD":
                text = text.replace(f"{{{letter}.one}}", longest).replace(f"{{{letter}.many}}", f"{longest}s")
            assert question_ids(text).any()
    said = {*SYNONYMS, *RELATIONS, *(value for values in ATTRIBUTES.values() for value in values)}
    for name in said:
        for phrase in SYNONYMS.get(name, (name,)):
            question_ids(phrase)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("What is the colour of it?", "'colour' is outside the vocabulary; did you mean color?"),
        ("?", "0 words, and there must be 1 to 48"),
        ("red " * 49, "49 words"),
    ],
)
def test_what_cannot_be_read_is_named(text, named):
    with pytest.raises(InputError) as raised:
        question_ids(text)
    assert named in str(raised.value)
