import itertools

import pytest

from aloe.errors import InputError
from aloe.tasks.clevrer import grammar, parser, templates


def test_the_worlds_own_programs_are_found_from_their_texts(drawn):
    checked = 0
    for question in (candidate.question for each in drawn for candidate in each.candidates):
        assert parser.question_program(question["question"]) == question["program"], question["question"]
        for choice in question.get("choices", ()):
            assert parser.choice_program(choice["choice"]) == choice["program"], choice["choice"]
            checked += 1
    assert checked > 1000


PHRASES = [
    grammar.phrase(dict(words))
    for words in itertools.product([("color", "red")], [("material", "metal")], [("shape", "cube")])
] + [grammar.phrase({}), grammar.phrase({"shape": "sphere"}), grammar.phrase({"color": "gray"})]


@pytest.mark.parametrize("kind", ["question", "choice"])
def test_no_text_can_be_read_in_two_ways(kind):
    """Every sentence, with different phrases in its holes, gives its own program: no other sentence matches first."""
    for sentence in getattr(templates, f"of_{kind}s")():
        for shift in range(len(PHRASES)):
            rotated = itertools.cycle(PHRASES[shift:] + PHRASES[:shift])
            text, program = sentence.fill(dict(zip(sentence.holes, rotated, strict=False)))
            assert getattr(parser, f"{kind}_program")(text) == program, text


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (
            "What is the shape of the object to collide with the purple object?",
            "events objects purple filter_color unique filter_collision unique "
            "objects purple filter_color unique get_col_partner query_shape",
        ),
        (
            "How many metal spheres enter the scene before the blue cube enters the scene?",
            "events events objects blue filter_color cube filter_shape unique filter_in unique filter_before "
            "objects metal filter_material sphere filter_shape filter_in count",
        ),
        (
            "How many green objects are moving when the sphere exits the scene?",
            "objects green filter_color events objects sphere filter_shape unique filter_out unique get_frame "
            "filter_moving count",
        ),
        (
            "Which of the following is not responsible for the cyan object's exit?",
            "events events objects cyan filter_color unique filter_out unique filter_ancestor belong_to negate",
        ),
        (
            "If the red cube is removed, which event will not happen?",
            "all_events objects red filter_color cube filter_shape unique get_counterfact belong_to negate",
        ),
        ("What will happen next?", "unseen_events belong_to"),
    ],
)
def test_questions_written_out(text, program):
    assert parser.question_program(text) == program.split()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Why?",
        "what will happen next?",
        "What will happen next",
        "What will  happen next?",
        "How many red cube enter the scene?",
        "How many cube reds enter the scene?",
        "How many pink objects enter the scene?",
        "What is the size of the object that enters the scene?",
        "What will happen if the red cube is removed? What will happen next?",
        "the presence of the cube",
    ],
)
def test_a_question_that_no_template_says(text):
    with pytest.raises(InputError) as caught:
        parser.question_program(text)
    assert f"question {text!r}: no template" in str(caught.value)


@pytest.mark.parametrize("text", ["The cube and the sphere collide.", "the cube collides with the sphere", "What?"])
def test_a_choice_that_no_template_says(text):
    with pytest.raises(InputError) as caught:
        parser.choice_program(text)
    assert f"choice {text!r}: no template" in str(caught.value)
