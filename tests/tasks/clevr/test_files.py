"""The official files: what is read from them, and what is refused, naming file, position and field."""

import json
import re
import shutil

import pytest

from aloe.errors import InputError
from aloe.tasks.clevr import files
from aloe.tasks.clevr.questions import parse_question, parse_questions
from aloe.tasks.clevr.scenes import parse_scene

NAME = "CLEVR_val_{:06d}.png"


def entry(place=0, **changes):
    record = {
        "split": "val",
        "image_index": 12,
        "image_filename": "CLEVR_val_000012.png",
        "question_index": place,
        "question": "Are there any other things that are the same shape as the big metallic object?",
        "answer": "no",
        "question_family_index": 39,
        "program": [{"function": "scene", "inputs": [], "value_inputs": []}, {"function": "exist", "inputs": [0]}],
    }
    return {name: value for name, value in (record | changes).items() if value is not None}


def test_names_and_indices_belong_together(tmp_path):
    assert files.official_name(1_000_012) == "CLEVR_val_000012"
    assert files.first_index("test") == 2_000_000
    assert files.image_path(tmp_path, 2_000_007) == tmp_path / "images" / "test" / "CLEVR_test_000007.png"
    assert files.scene_path(tmp_path, 2_000_007).parent == tmp_path / "truth" / "test"


def test_questions_are_gathered_by_image_in_the_order_of_the_file():
    there = {"image_index": 3, "image_filename": "CLEVR_val_000003.png"}
    images, wrong = parse_questions([entry(5), entry(0, **there), entry(1)], NAME, 1_000_000, labelled=True)
    assert wrong == []
    assert [image.scene_index for image in images] == [1_000_012, 1_000_003]
    assert [[question.question_index for question in image.questions] for image in images] == [[5, 1], [0]]
    assert images[0].questions[0].family == "exist"
    assert images[0].questions[0].group == "same_relate"


def test_neither_program_nor_answer_is_needed_where_there_are_no_labels():
    bare = entry(answer=None, program=None, question_family_index=None)
    _, question = parse_question(bare, NAME, labelled=False)
    assert (question.answer, question.family, question.group) == (None, None, None)
    with pytest.raises(InputError, match="field 'answer' is missing"):
        parse_question(bare, NAME, labelled=True)
    _, question = parse_question(entry(program=None), NAME, labelled=True)
    assert question.family is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"question_family_index": 90}, "field 'question_family_index': 90: templates are numbered from 0 to 89"),
        ({"answer": "maybe"}, "field 'answer' is 'maybe', none of the 28 answers"),
        ({"answer": 2}, "field 'answer' is 2; it must be a string"),
        ({"image_index": 13}, "is 'CLEVR_val_000012.png', and image 13 is 'CLEVR_val_000013.png'"),
        ({"image_index": -1}, "image -1"),
        ({"question": "Is it pink?"}, "'pink' is outside the vocabulary"),
        ({"question_index": None}, "field 'question_index' is missing"),
        ({"program": [{"function": "scene"}]}, "the last node of the program: the program ends with 'scene'"),
        ({"program": [3]}, "the last node of the program: 3 stands where an object"),
    ],
)
def test_a_wrong_entry_is_named_and_the_others_are_kept(changes, named):
    images, wrong = parse_questions([entry(0), entry(1, **changes), entry(2)], NAME, 0, labelled=True)
    assert [question.question_index for question in images[0].questions] == [0, 2]
    (found,) = wrong
    assert found.startswith("question 1: ")
    assert named in found


def test_a_question_index_names_one_question():
    _, wrong = parse_questions([entry(4), entry(4)], NAME, 0, labelled=True)
    assert wrong == ["question 1: field 'question_index' is 4 of an earlier question too"]


@pytest.mark.parametrize("entries", [[], {}, None])
def test_a_list_without_questions_is_refused(entries):
    with pytest.raises(InputError, match="field 'questions' must be a list"):
        parse_questions(entries, NAME, 0, labelled=True)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda scene: scene["objects"][1].update(color="pink"), "image 0: object 1: field 'color' is 'pink'"),
        (lambda scene: scene["objects"][0].pop("size"), "image 0: object 0: field 'size' is missing"),
        (lambda scene: scene["objects"][0].update({"3d_coords": [1, 2]}), "object 0: field '3d_coords' is [1, 2]"),
        (lambda scene: scene["directions"].pop("right"), "image 0: field 'directions': field 'right' is missing"),
        (lambda scene: scene["relationships"]["left"].pop(), "'left' must have a list of object numbers"),
        (
            lambda scene: scene["relationships"]["left"].__setitem__(0, [99]),
            "'left' must have a list of object numbers",
        ),
        (lambda scene: scene.pop("image_index"), "field 'image_index' is missing"),
    ],
)
def test_a_wrong_scene_is_named(root, change, named):
    record = json.loads(files.scene_path(root, 0).read_text())
    parse_scene(record)
    change(record)
    with pytest.raises(InputError, match=re.escape(named)):
        parse_scene(record)


def test_missing_files_are_named_with_the_mend(root, tmp_path):
    with pytest.raises(InputError, match=r"there is no such data folder\. A small set of our own: python launch/make"):
        files.read_questions(tmp_path / "nowhere", "train")
    with pytest.raises(InputError, match="no folder questions/ here"):
        files.find_videos(tmp_path)
    shutil.copytree(root / "questions", tmp_path / "questions")
    files.questions_path(tmp_path, "train").unlink()
    with pytest.raises(InputError, match=r"CLEVR_train_questions\.json: there is no such file"):
        files.read_questions(tmp_path, "train")
    with pytest.raises(InputError, match=r"CLEVR_val_scenes\.json: there is no such file\. A small set"):
        files.read_scenes(tmp_path, "validation")
    with pytest.raises(InputError, match=r"CLEVR_test_scenes\.json: there is no such file; the official set has none"):
        files.read_scenes(tmp_path, "test")


def test_the_first_wrong_questions_are_said_with_the_file(root, tmp_path):
    shutil.copytree(root / "questions", tmp_path / "questions")
    path = files.questions_path(tmp_path, "train")
    record = json.loads(path.read_text())
    for each in record["questions"][:7]:
        each["answer"] = "maybe"
    path.write_text(json.dumps(record))
    with pytest.raises(InputError) as raised:
        files.read_questions(tmp_path, "train")
    message = str(raised.value)
    assert message.count("CLEVR_train_questions.json: question ") == 5
    assert "… and 2 more; launch/check_data.py lists them" in message
