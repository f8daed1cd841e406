"""Kinds of counterfactual questions, compared with those derived by hand from wording and annotation."""

import re

import numpy as np
import pytest

from aloe.errors import InputError
from aloe.tasks.clevrer import counterfactuals, executor
from aloe.tasks.clevrer.annotations import parse_annotation
from aloe.tasks.clevrer.counterfactuals import AS_IF_DESCRIPTIVE, HARD, HITS_NOTHING, from_video
from aloe.tasks.clevrer.examples import AskedQuestion
from aloe.tasks.clevrer.executor import Event, ExecutionError, Object, Scene
from aloe.tasks.clevrer.questions import Choice, Question, parse_question
from tests.tasks.clevrer.writer import annotation, write_json

THING = r"the ((?:\w+ )*?(?:cube|sphere|cylinder|object))\b"


def asked_of(drawn):
    """All counterfactual questions that could be asked about a sampled scene."""
    records = [each.question for each in drawn.candidates if each.question["question_type"] == "counterfactual"]
    questions = [
        parse_question({"question_id": place, **record}, labelled=True) for place, record in enumerate(records)
    ]
    return [AskedQuestion(drawn.index, question) for question in questions]


def by_hand(question, annotation):
    """The kind, and whether each choice is correct as if descriptive, from the texts and the list of collisions."""

    def named(words):
        (found,) = (
            entry["object_id"]
            for entry in annotation["object_property"]
            if set(words.split()) - {"object"} <= {entry["color"], entry["material"], entry["shape"]}
        )
        return found

    pairs = [set(entry["object_ids"]) for entry in annotation["collision"]]
    text = question.text.lower()
    removed = named(re.search(rf"(?:if|without) {THING}", text)[1])
    correct = []
    for choice in question.choices:
        one, other = re.findall(THING, choice.text.lower())
        happened = {named(one), named(other)} in pairs
        correct.append(happened != (" not " in text))
    if not any(removed in pair for pair in pairs):
        return HITS_NOTHING, correct
    return (AS_IF_DESCRIPTIVE if correct == [choice.correct for choice in question.choices] else HARD), correct


def test_kinds_and_answers_are_those_read_off_words_and_annotation(drawn):
    seen = set()
    for each in drawn:
        for record in asked_of(each):
            answer = from_video(record.question, each.read)
            kind, correct = by_hand(record.question, each.annotation)
            assert (answer.kind(record.question), list(answer.correct)) == (kind, correct)
            seen.add((kind, " not " in record.question.text.lower()))
    assert seen == {(kind, negated) for kind in (HITS_NOTHING, AS_IF_DESCRIPTIVE, HARD) for negated in (False, True)}


def test_taking_away_what_hits_nothing_changes_nothing(drawn):
    """So such questions are right as if descriptive, according to the labels from the simulations."""
    for each in drawn:
        for record in asked_of(each):
            answer = from_video(record.question, each.read)
            if answer.kind(record.question) == HITS_NOTHING:
                assert list(answer.correct) == [choice.correct for choice in record.question.choices]


def test_what_the_video_does_not_tell_is_not_used(drawn):
    """Neither what happens later nor the results of the counterfactual simulations."""
    for each in drawn[:6]:
        seen = executor.read(parse_annotation(each.annotation))
        assert seen.counterfactual is seen.unseen is None
        for record in asked_of(each):
            assert from_video(record.question, seen) == from_video(record.question, each.read)


# A red cube hits a blue sphere, which hits a gray cylinder; a green cube hits nothing.
SCENE = Scene(
    objects=(
        Object(0, "red", "metal", "cube"),
        Object(1, "blue", "metal", "sphere"),
        Object(2, "gray", "rubber", "cylinder"),
        Object(3, "green", "rubber", "cube"),
    ),
    visible_FxO=np.ones((10, 4), bool),
    speed_FxO=np.zeros((10, 4)),
    collisions=(Event("collision", (0, 1), 4), Event("collision", (1, 2), 6)),
)


def question(removed, choices, negated=False, program=None):
    """`choices`: for each, two colours and the label."""
    tokens = f"all_events objects {removed} filter_color unique get_counterfact belong_to{' negate' if negated else ''}"
    listed = []
    for number, (one, other, label) in enumerate(choices):
        pair = [f"objects {color} filter_color unique filter_collision" for color in (one, other)]
        listed.append(Choice(number, "", label, (*f"all_events {' '.join(pair)} unique".split(),)))
    program = tuple(tokens.split()) if program is None else program
    return Question(14, "", "counterfactual", None, None, tuple(listed), program)


@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize(
    ("removed", "choices", "kind"),
    [
        ("green", [("red", "blue", True), ("gray", "red", False)], HITS_NOTHING),
        ("green", [("red", "blue", False)], HITS_NOTHING),  # whatever the labels say
        ("red", [("blue", "gray", True), ("gray", "green", False)], AS_IF_DESCRIPTIVE),
        ("red", [("gray", "blue", True)], AS_IF_DESCRIPTIVE),  # whichever is named first
        ("red", [("blue", "gray", False)], HARD),
        ("red", [("blue", "gray", True), ("gray", "green", True)], HARD),  # one of two is not enough
        ("blue", [("red", "gray", True)], HARD),
    ],
)
def test_kinds_by_hand(removed, choices, kind, negated):
    """With "not", labels are inverted and the kind stays the same."""
    labelled = [(one, other, label != negated) for one, other, label in choices]
    asked = question(removed, labelled, negated)
    assert from_video(asked, SCENE).kind(asked) == kind


@pytest.mark.parametrize(
    "program",
    ["all_events belong_to", "events objects red filter_color unique get_counterfact belong_to", "all_events objects"
     " metal filter_material unique get_counterfact belong_to", "all_events start get_counterfact belong_to", ""],
)  # fmt: skip
def test_programs_that_remove_no_object_are_refused(program):
    with pytest.raises(ExecutionError):
        from_video(question("red", [("red", "blue", True)], program=tuple(program.split())), SCENE)


@pytest.fixture
def root(tmp_path, drawn):
    write_json(tmp_path / "train.json", [])
    for each in drawn[:8]:
        write_json(tmp_path / "annotation_train" / f"annotation_{each.index:05d}.json", each.annotation)
    return tmp_path


@pytest.fixture
def records(drawn):
    return [record for each in drawn[:8] for record in asked_of(each)]


def test_questions_are_read_with_the_annotations_of_their_videos(root, drawn, records):
    other = AskedQuestion(0, Question(0, "What will happen next?", "predictive", None, None, (), None))
    answers = counterfactuals.read(root, "train", [other, *records])
    assert list(answers) == records
    for record, answer in answers.items():
        assert answer == from_video(record.question, drawn[record.scene_index].read)


def without_program(record):
    return AskedQuestion(record.scene_index, Question(7, "", "counterfactual", None, None, (), None))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root, records: [*records, without_program(records[0])], r"question_id 7: field 'program' is missing"),
        (
            lambda root, records: [*records, AskedQuestion(0, question("pink", []))],
            r"scene_index 0: question_id 14: field 'program' means nothing on the annotation: .*pink is no operator",
        ),
        (
            lambda root, records: (root / "annotation_train" / "annotation_00000.json").unlink() or records,
            r"no annotation of scene_index 0 was found",
        ),
        (
            lambda root, records: (root / "annotation_train" / "annotation_00000.json").write_text("{") and records,
            r"annotation_00000.json: not valid JSON",
        ),
    ],
)
def test_what_is_missing_is_named(root, records, change, message):
    changed = change(root, records)
    with pytest.raises(InputError, match=message) as raised:
        counterfactuals.read(root, "train", changed)
    needed = f"the train split is not known; it takes programs in {root}/train.json and annotations below {root}."
    assert needed in str(raised.value)
    asked_about = len({record.scene_index for record in records})
    assert f"1 of {asked_about} videos with counterfactual questions" in str(raised.value)


def test_in_a_large_set_one_video_may_lack_its_annotation(tmp_path, capsys):
    record = annotation(0, objects=2)
    color = record["object_property"][1]["color"]
    write_json(tmp_path / "train.json", [])
    for index in range(1, 100):
        path = tmp_path / f"annotation_{index:05d}.json"
        write_json(path, record | {"scene_index": index})
    removal = ("all_events", "objects", color, "filter_color", "unique", "get_counterfact", "belong_to")
    asked = [AskedQuestion(index, question("", [], program=removal)) for index in range(100)]
    answers = counterfactuals.read(tmp_path, "train", asked)
    assert [record.scene_index for record in answers] == list(range(1, 100))
    assert all(answer.removed_collides for answer in answers.values())
    assert "1 of 100 videos with counterfactual questions are missing" in capsys.readouterr().out


def test_the_table_counts_each_kind_and_shows_each_column(drawn):
    answers = {record: from_video(record.question, each.read) for each in drawn for record in asked_of(each)}
    as_if = counterfactuals.outcomes(answers)
    columns = {"model": as_if, "as if": as_if}
    rows = {}
    for line in counterfactuals.table(answers, columns).splitlines():
        match = re.match(rf"({HITS_NOTHING}|{AS_IF_DESCRIPTIVE}|{HARD})\s+(.*)", line)
        rows |= {match[1]: [float(cell) for cell in match[2].split()]} if match else {}
    kinds = [answer.kind(record.question) for record, answer in answers.items()]
    assert {kind: row[0] for kind, row in rows.items()} == {kind: kinds.count(kind) for kind in rows}
    assert len(rows) == 3
    assert rows[AS_IF_DESCRIPTIVE][1:] == [100.0] * 4
    assert rows[HARD][1:3] == [0.0, 0.0]
    options = [
        (given == choice.correct)
        for (record, answer), kind in zip(answers.items(), kinds, strict=True)
        if kind == HARD
        for given, choice in zip(answer.correct, record.question.choices, strict=True)
    ]
    assert rows[HARD][3] == pytest.approx(100 * np.mean(options), abs=0.05)
