import pytest

from aloe.errors import InputError
from aloe.tasks.clevrer.questions import parse_question, parse_questions
from tests.tasks.clevrer.writer import descriptive, entry, multiple_choice, unlabelled


def test_descriptive():
    question = parse_question(descriptive(3, "How many cubes are moving?", "count", "1"), labelled=True)
    assert (question.question_id, question.text) == (3, "How many cubes are moving?")
    assert (question.type, question.subtype, question.answer, question.choices) == ("descriptive", "count", "1", ())
    assert question.program == ("events", "objects", "filter_collision", "count")


@pytest.mark.parametrize("options", [1, 2, 3, 4])
def test_any_number_of_the_choices_may_be_correct(options):
    for right in range(options + 1):
        correct = [number < right for number in range(options)]
        question = parse_question(multiple_choice(1, "explanatory", correct), labelled=True)
        assert [choice.correct for choice in question.choices] == correct
        assert (question.subtype, question.answer) == (None, None)


def test_order_and_ids_of_choices_are_those_of_the_file():
    record = multiple_choice(1, "explanatory", (True, False, True))
    record["choices"] = record["choices"][::-1]
    question = parse_question(record, labelled=True)
    assert [(choice.choice_id, choice.correct) for choice in question.choices] == [(2, True), (1, False), (0, True)]


def test_no_choices_is_no_error():
    record = multiple_choice(1)
    assert parse_question({**record, "choices": []}, labelled=True).choices == ()
    del record["choices"]
    assert parse_question(record, labelled=True).choices == ()


def test_the_test_split_has_neither_answers_nor_programs():
    for record in (descriptive(), multiple_choice(1)):
        bare = unlabelled(record)
        bare.pop("question_subtype", None)
        question = parse_question(bare, labelled=False)
        assert (question.answer, question.subtype, question.program) == (None, None, None)
        assert all(choice.correct is None and choice.program is None for choice in question.choices)
        with pytest.raises(InputError, match=r"question_id \d.*'answer' is missing"):
            parse_question(bare, labelled=True)


@pytest.mark.parametrize("labelled", [True, False])
def test_the_subtype_is_optional_in_any_split(labelled):
    record = descriptive(3, answer="yes")
    del record["question_subtype"]
    question = parse_question(record, labelled)
    assert (question.subtype, question.answer) == (None, "yes")


def test_answers_of_the_test_split_are_read_and_checked_where_there_are_any():
    assert parse_question(descriptive(answer="3"), labelled=False).answer == "3"
    with pytest.raises(InputError, match="answer '33'"):
        parse_question(descriptive(answer="33"), labelled=False)
    given = parse_question(multiple_choice(1, correct=(True, False)), labelled=False)
    assert [choice.correct for choice in given.choices] == [True, False]


def test_programs_are_optional_everywhere():
    record = multiple_choice(1)
    del record["program"], record["choices"][0]["program"]
    question = parse_question(record, labelled=True)
    assert question.program is None
    assert [choice.program for choice in question.choices] == [None, ("all_events", "unique")]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (descriptive(7, question=None), r"question_id 7: field 'question' is missing"),
        (descriptive(7, question=5), r"question_id 7: field 'question' is 5"),
        (descriptive(7, "How many cubs?"), r"question_id 7.*'cubs'.*'cubes'"),
        (descriptive(7, "how " * 21), r"question_id 7.*21 words"),
        (descriptive(7, answer="two"), r"question_id 7.*answer 'two'"),
        (descriptive(7, answer=2), r"question_id 7: field 'answer' is 2; it must be a string"),
        (descriptive(7, question_type="descriptiv"), r"question_id 7: field 'question_type'.*nearest: descriptive"),
        (descriptive(7, subtype="query_colour"), r"question_id 7: field 'question_subtype'.*nearest: query_color"),
        (descriptive(7, program=["events", 1]), r"question_id 7: field 'program'"),
        (descriptive(True), r"field 'question_id' is True; it must be a whole number"),
        (multiple_choice(7, correct=(True,) * 5), r"question_id 7: field 'choices' has 5 entries; at most 4"),
        (multiple_choice(7, choices={}), r"question_id 7: field 'choices' is {}; it must be a list"),
        (multiple_choice(7, choices=["a"]), r"question_id 7: 'a' stands where an object"),
        ([], r"\[\] stands where an object"),
    ],
)
def test_what_is_wrong_is_named(record, message):
    with pytest.raises(InputError, match=message):
        parse_question(record, labelled=True)


def test_wrong_choices_are_named():
    record = multiple_choice(7)
    record["choices"][1]["answer"] = "yes"
    with pytest.raises(InputError, match=r"question_id 7: choice_id 1: field 'answer' is 'yes'.*correct, wrong"):
        parse_question(record, labelled=True)
    record["choices"][1] |= {"answer": "wrong", "choice_id": 0}
    with pytest.raises(InputError, match=r"question_id 7: field 'choice_id' has the same value"):
        parse_question(record, labelled=True)
    record["choices"][1] |= {"choice_id": 1, "choice": "the presence of the read cube"}
    with pytest.raises(InputError, match=r"choice_id 1: choice 'the presence of the read cube': 'read'.*'red'"):
        parse_question(record, labelled=True)


def test_good_entries_are_kept_and_every_wrong_one_is_named():
    entries = [
        entry(5),
        entry(3, [descriptive(0), descriptive(1, answer="six"), descriptive(2, "why?")]),
        {"questions": []},
        entry(5),
        entry(9, [descriptive(0), descriptive(0)]),
        entry(4, []),
    ]
    scenes, problems = parse_questions(entries, labelled=True)
    assert [(scene.scene_index, len(scene.questions)) for scene in scenes] == [(5, 2), (3, 1), (9, 1), (4, 0)]
    places = ["scene_index 3: question_id 1", "scene_index 3: question_id 2", "entry 2", "entry 3", "scene_index 9"]
    assert len(problems) == len(places)
    assert all(problem.startswith(place) for problem, place in zip(problems, places, strict=True))


@pytest.mark.parametrize("content", [{}, [], None, "train"])
def test_a_file_that_is_no_list_of_entries(content):
    with pytest.raises(InputError, match="list with an entry for each video"):
        parse_questions(content, labelled=True)
