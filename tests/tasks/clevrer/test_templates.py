import itertools
import string

import pytest

from aloe.tasks.clevrer import executor, question_writer, templates

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


ROWS = [
    *itertools.chain(*templates.DESCRIPTIVE.values()),
    *templates.EXPLANATORY,
    *templates.CAUSES,
    *templates.PREDICTIVE,
    *templates.COUNTERFACTUAL,
    *templates.OUTCOMES,
]


def holes_of(text):
    return {field.split(".")[0] for _, field, _, _ in string.Formatter().parse(text) if field}


# One value of each attribute, in every set of attributes: "object", "red object", …, "red metal cylinder".
LONGEST = {"color": "purple", "material": "rubber", "shape": "cylinder"}
PHRASES = [
    question_writer.phrase({name: LONGEST[name] for name in names})
    for size in range(4)
    for names in itertools.combinations(LONGEST, size)
]


def fillings(hole):
    if hole in "ABXO":
        return PHRASES
    if hole in ("not_", "negate"):
        return ["", {"not_": "not ", "negate": " negate"}[hole]]
    return templates.HOLES[hole]


def test_the_vocabulary_has_81_words():
    assert len(WORDS) == 81
    assert len(ANSWERS) == 21


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.text)
def test_every_filling_keeps_to_the_words_and_lengths(row):
    asks = row.text.endswith("?")
    holes = sorted(holes_of(row.text))
    for chosen in itertools.product(*map(fillings, holes)):
        text = row.text.format(**dict(zip(holes, chosen, strict=True)))
        assert set(tokens(text)) <= WORDS, text
        assert len(tokens(text)) <= (20 if asks else 12), text
        assert "  " not in text
        assert text[0].isupper() or not asks


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.text)
def test_text_and_program_have_the_same_holes_and_known_tokens(row):
    in_program = holes_of(row.program)
    in_text = holes_of(row.text)
    assert in_program - {"negate"} == in_text - {"not_"}
    assert ("negate" in in_program) == ("not_" in in_text)
    holes = sorted(in_program)
    for chosen in itertools.product(*map(fillings, holes)):
        program = row.program.format(**dict(zip(holes, chosen, strict=True))).split()
        assert set(program) <= set(executor.OPERATORS) | executor.LITERALS


def test_answers_aimed_at_are_in_the_vocabulary_and_shares_add_up():
    for shares in templates.SHARES.values():
        assert set(shares) <= ANSWERS
        assert sum(shares.values()) == pytest.approx(1)


def test_the_longest_question_and_choice_are_as_long_as_the_real_ones():
    longest = PHRASES[-1]
    question = templates.EXPLANATORY[0].text.format(A=longest, B=longest, not_="not ")
    choice = templates.CAUSES[1].text.format(A=longest, B=longest)
    assert (len(tokens(question)), len(tokens(choice))) == (20, 12)
