import itertools
import string

import pytest

from aloe.tasks.clevrer import executor, grammar, templates

QUESTION_WORDS = """
    after and any are before begins between blue brown collide collides colliding collision collisions color cube
    cube's cube, cubes cyan cylinder cylinder's cylinder, cylinders ends enter entering enters entrance event exit
    exiting exits first following for gray green happen how if is last many material metal moving next not object
    object's object, objects of presence purple red removed removed, responsible rubber scene second shape sphere
    sphere's sphere, spheres stationary that the there to video what when which will with without yellow
"""
ANSWER_WORDS = "0 1 2 3 4 5 blue brown cube cyan cylinder gray green metal no purple red rubber sphere yellow yes"
WORDS, ANSWERS = frozenset(QUESTION_WORDS.split()), frozenset(ANSWER_WORDS.split())


def tokens(text):
    return text.lower().replace("?", "").split()


SENTENCES = {"question": list(templates.of_questions()), "choice": list(templates.of_choices())}


def holes_of(text):
    return [field.split(".")[0] for _, field, _, _ in string.Formatter().parse(text) if field]


# One value per attribute, in every subset of attributes: "object", "purple object", …, "purple rubber cylinder".
LONGEST = {"color": "purple", "material": "rubber", "shape": "cylinder"}
PHRASES = [
    grammar.phrase({name: LONGEST[name] for name in names})
    for size in range(4)
    for names in itertools.combinations(LONGEST, size)
]


def test_the_vocabulary_has_81_words():
    assert len(WORDS) == 81
    assert len(ANSWERS) == 21


@pytest.mark.parametrize("kind", ["question", "choice"])
def test_every_filling_keeps_to_the_words_and_lengths(kind):
    longest = 0
    for sentence in SENTENCES[kind]:
        asked = sentence.kind.removeprefix("query_")
        for phrases in itertools.product(PHRASES, repeat=len(sentence.holes)):
            holes = dict(zip(sentence.holes, phrases, strict=True))
            if "O" in holes and f"filter_{asked}" in holes["O"].program:
                continue  # it would name the attribute that it asks for
            text, _ = sentence.fill(holes)
            assert set(tokens(text)) <= WORDS, text
            assert "  " not in text
            longest = max(longest, len(tokens(text)))
        assert sentence.text.endswith("?") == (kind == "question")
        assert sentence.text[0].isupper() or kind == "choice"
    assert longest == {"question": 20, "choice": 12}[kind]  # as in the released files


def test_the_sentences_have_all_words_of_the_vocabulary():
    plain = {word: grammar.phrase({name: word}) for name, words in grammar.ATTRIBUTES.items() for word in words}
    words = set()
    for sentence in (*SENTENCES["question"], *SENTENCES["choice"]):
        for phrase in (*PHRASES, *plain.values()):
            words |= set(tokens(sentence.fill(dict.fromkeys(sentence.holes, phrase))[0]))
    assert words == WORDS


@pytest.mark.parametrize("kind", ["question", "choice"])
def test_text_and_program_have_the_same_holes_and_known_tokens(kind):
    for sentence in SENTENCES[kind]:
        assert set(holes_of(sentence.program)) == set(sentence.holes), sentence.text
        assert len(set(sentence.holes)) == len(sentence.holes)
        for phrase in PHRASES:
            _, program = sentence.fill(dict.fromkeys(sentence.holes, phrase))
            assert set(program) <= set(executor.OPERATORS) | executor.LITERALS


def test_no_two_sentences_are_alike():
    texts = [sentence.text for sentences in SENTENCES.values() for sentence in sentences]
    assert len(set(texts)) == len(texts)


def test_answers_aimed_at_are_in_the_vocabulary_and_shares_add_up():
    for name, shares in templates.SHARES.items():
        assert sum(shares.values()) == pytest.approx(1)
        if name in {"exist", "count"} | set(templates.SHARES["query"]):
            assert set(shares) <= ANSWERS
