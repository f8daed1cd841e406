import numpy as np
import pytest

from aloe.errors import InputError
from aloe.tasks.clevrer import vocabulary


def test_sizes_and_order():
    assert (len(vocabulary.WORDS), len(vocabulary.ANSWERS)) == (81, 21)
    for words in (vocabulary.WORDS, vocabulary.ANSWERS):
        assert list(words) == sorted(set(words))


def test_ids_of_the_released_vocabulary():
    # Some of vocab.json, including both ends and words that keep their comma or apostrophe.
    expected = {"after": 1, "cube": 16, "cube's": 17, "cube,": 18, "removed,": 59, "what": 75, "yellow": 81}
    assert {word: vocabulary.WORD_IDS[word] for word in expected} == expected
    assert [vocabulary.answer_id(answer) for answer in ("0", "5", "blue", "rubber", "yes")] == [1, 6, 7, 18, 21]


def test_only_the_question_mark_is_dropped():
    text = "If the Cube's  removed, what\twill happen to the cube?"
    assert vocabulary.tokenize(text) == [
        "if",
        "the",
        "cube's",
        "removed,",
        "what",
        "will",
        "happen",
        "to",
        "the",
        "cube",
    ]


def test_ids_are_padded_with_zero_at_the_end():
    ids_W = vocabulary.question_ids("What will happen next?")
    assert ids_W.dtype == np.int32
    assert ids_W.tolist() == [75, 78, 39, 48] + [0] * 16
    assert vocabulary.choice_ids("the presence of the red cube").shape == (12,)
    assert vocabulary.question_ids("What", length=3).tolist() == [75, 0, 0]


def test_every_word_comes_back():
    for start in range(0, 81, 12):
        words = vocabulary.WORDS[start : start + 12]
        assert [vocabulary.WORDS[i - 1] for i in vocabulary.choice_ids(" ".join(words)) if i] == list(words)


@pytest.mark.parametrize(("ids", "length"), [(vocabulary.question_ids, 20), (vocabulary.choice_ids, 12)])
def test_the_longest_text_fits_and_one_word_more_does_not(ids, length):
    assert np.count_nonzero(ids("cube " * length)) == length
    with pytest.raises(InputError, match=rf"{length + 1} words.*at most {length}"):
        ids("cube " * (length + 1))


def test_an_unknown_word_is_named_with_its_text_and_the_nearest_word():
    with pytest.raises(InputError, match=r"'How many spheers\?'.*'spheers'.*'spheres'"):
        vocabulary.question_ids("How many spheers?")


def test_a_word_like_no_other_still_gets_a_message():
    with pytest.raises(InputError, match=r"'0xÿ'"):
        vocabulary.choice_ids("the 0xÿ")


def test_an_empty_text_is_an_error():
    with pytest.raises(InputError, match="no words"):
        vocabulary.question_ids(" ? ")


def test_an_unknown_answer_is_named_with_the_nearest():
    with pytest.raises(InputError, match=r"'Yes'.*'yes'"):
        vocabulary.answer_id("Yes")
