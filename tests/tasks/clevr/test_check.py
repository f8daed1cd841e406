"""What a check of a data folder finds: each kind of damage is reported with its file and field."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from aloe.errors import InputError
from aloe.tasks.clevr import files
from aloe.tasks.clevr.check import check
from aloe.tasks.clevr.programs import FAMILIES


@pytest.fixture
def folder(drawn, tmp_path):
    return shutil.copytree(drawn, tmp_path / "clevr")


def rewrite(path, change):
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def of_question(**changes):
    return lambda root: rewrite(files.questions_path(root, "train"), lambda file: file["questions"][5].update(changes))


def another_answer(root):
    def change(file):
        question = next(each for each in file["questions"] if each["answer"] == "yes")
        question["answer"] = "no"

    rewrite(files.questions_path(root, "train"), change)


def test_a_whole_folder_is_counted(folder):
    findings = check(folder, decode=True)
    assert findings.problems == findings.notes == []
    assert [counts["images asked about"] for counts in findings.counts.values()] == [14, 3, 3]
    assert [counts["images"] for counts in findings.counts.values()] == [14, 3, 3]
    for split in ("train", "validation"):
        counts = findings.counts[split]
        assert sum(counts[f"- {family}"] for family in FAMILIES) == counts["questions"] == counts["programs run"]


def test_a_test_split_images_and_scenes_may_be_missing(folder):
    files.questions_path(folder, "test").unlink()
    files.scenes_path(folder, "validation").unlink()
    shutil.rmtree(folder / "images")
    findings = check(folder)
    assert findings.problems == []
    notes = "\n".join(findings.notes)
    assert "there is no test split" in notes
    assert "CLEVR_val_scenes.json: the answers of the validation split are not checked" in notes
    assert "no images of the train split were found" in notes
    assert list(findings.counts) == ["train", "validation"]


@pytest.mark.parametrize(
    ("damage", "decode", "named"),
    [
        (lambda root: files.image_path(root, 1).unlink(), False, "no image of CLEVR_train_000001 was found"),
        (
            lambda root: Image.new("RGBA", (40, 48)).save(files.image_path(root, 1)),
            False,
            "_000001.png: 40×48 pixels, and others have 64×48",
        ),
        (
            lambda root: Image.new("L", (64, 48)).save(files.image_path(root, 1)),
            False,
            "_000001.png: has the mode L, not RGB or RGBA",
        ),
        (lambda root: files.image_path(root, 1).write_text("x"), False, "_000001.png: not a whole picture"),
        (
            lambda root: files.image_path(root, 1).write_bytes(files.image_path(root, 1).read_bytes()[:200]),
            True,
            "_000001.png: not a whole picture",
        ),
        (another_answer, False, r"question \d+: field 'answer' is 'no', and the program gives 'yes' on the scene"),
        (of_question(answer="maybe"), False, "question 5: field 'answer' is 'maybe', none of the 28"),
        (
            of_question(image_filename="CLEVR_train_000099.png"),
            False,
            "question 5: field 'image_filename' is 'CLEVR_train_000099.png', and image",
        ),
        (
            lambda root: rewrite(files.scenes_path(root, "train"), lambda file: file["scenes"][1]["objects"].pop()),
            False,
            "CLEVR_train_scenes.json: scene 1: image 1: field 'relationships': ",
        ),
        (
            lambda root: files.questions_path(root, "validation").write_text("{"),
            False,
            "CLEVR_val_questions.json: not valid JSON",
        ),
        (
            lambda root: files.questions_path(root, "train").unlink(),
            False,
            "train_questions.json: there is no such file",
        ),
    ],
)
def test_damage_is_a_problem_that_names_file_and_field(folder, damage, decode, named):
    damage(folder)
    problems = check(folder, decode=decode).problems
    assert len(problems) == (2 if "maybe" in named else 1)
    assert re.search(named, problems[0])


def test_a_question_about_an_image_that_is_not_there_is_named_twice(folder):
    of_question(image_index=99, image_filename="CLEVR_train_000099.png")(folder)
    problems = "\n".join(check(folder).problems)
    assert "question 5: field 'image_index' is 99, and the scene file has no such image" in problems
    assert "no image of CLEVR_train_000099 was found" in problems


def test_a_program_that_cannot_run_is_named_with_its_node(folder):
    def change(file):
        file["questions"][5]["program"][1]["inputs"] = [7]

    rewrite(files.questions_path(folder, "train"), change)
    (found,) = check(folder).problems
    assert "question 5: program: node 1: field 'inputs' is [7]" in found


def test_masks_in_a_folder_are_checked_like_images(folder):
    for index in files.find_videos(folder):
        path = folder / "masks" / files.image_path(folder, index).relative_to(folder / "images")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((48, 64) if index != 2 else (32, 64), np.uint8)).save(path)
    findings = check(folder)
    assert findings.counts["train"]["masks"] == 14
    (found,) = findings.problems
    assert re.search(r"masks/train/CLEVR_train_000002.png: 64×32 pixels, and others have 64×48", found)


def test_a_store_that_lacks_images_is_named(root, tmp_path):
    shutil.copytree(root, tmp_path / "clevr")
    findings = check(tmp_path / "clevr")
    assert findings.counts["train"]["latents/oracle"] == 42
    assert findings.problems == []
    there = {"image_index": 41, "image_filename": "CLEVR_train_000041.png"}
    elsewhere = {"image_index": 77, "image_filename": "CLEVR_train_000077.png"}

    def change(file):
        for each in file["questions"]:
            each.pop("program")
            if each["image_index"] == there["image_index"]:
                each.update(elsewhere)

    rewrite(files.questions_path(tmp_path / "clevr", "train"), change)
    assert "scene_index 77 has no latents" in "\n".join(check(tmp_path / "clevr").problems)


def test_a_folder_that_is_no_set_is_named(tmp_path):
    with pytest.raises(InputError, match="there is no such data folder"):
        check(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no folder questions/ here"):
        check(tmp_path)
