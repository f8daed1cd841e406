"""Checking a data folder: each kind of damage is reported with its file, field and fix."""

import json
import re
import shutil

import pytest
from PIL import Image

from aloe.errors import InputError
from aloe.tasks.acre import files
from aloe.tasks.acre.check import check
from aloe.tasks.acre.problems import LABELS, PANELS, TYPES


@pytest.fixture
def folder(drawn, tmp_path):
    shutil.copytree(drawn / "ACRE_IID", tmp_path / "ACRE_IID")
    return tmp_path / "ACRE_IID"


def rewrite(path, change):
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def test_a_whole_folder_is_counted(folder):
    findings = check(folder, decode=True)
    assert findings.problems == findings.notes == []
    assert [counts["problems"] for counts in findings.counts.values()] == [3, 1, 1]
    for counts in findings.counts.values():
        assert counts["queries"] == 4 * counts["problems"]
        assert sum(counts[f"- {name}"] for name in LABELS) == counts["queries"]
        assert sum(counts[f"- {name}"] for name in TYPES) == counts["queries"]
        assert counts["pictures"] == counts["scenes"] == counts["problems"]


def test_a_test_split_may_be_missing_and_pictures_too(folder):
    files.config_path(folder, "test").unlink()
    shutil.rmtree(folder / "images")
    findings = check(folder)
    assert findings.problems == []
    assert "there is no test split" in "".join(findings.notes)
    assert "no pictures of the train split were found" in "".join(findings.notes)
    assert list(findings.counts) == ["train", "validation"]


def damage_picture(path):
    path.write_bytes(path.read_bytes()[:200])


def replace_picture(path):
    Image.new("RGBA", (40, 48)).save(path)


@pytest.mark.parametrize(
    ("damage", "decode", "named"),
    [
        (lambda root: files.picture_path(root, 1, 7).unlink(), False, "ACRE_train_000001_07.png: missing"),
        (lambda root: files.picture_path(root, 0, 0).unlink(), False, "ACRE_train_000000_00.png: missing"),
        (
            lambda root: replace_picture(files.picture_path(root, 0, 0)),
            False,
            r"000000_00.png: 40×48 pixels, and others",
        ),
        (lambda root: files.scene_path(root, 2, 0).unlink(), False, "ACRE_train_000002_00.json: missing"),
        (lambda root: replace_picture(files.picture_path(root, 1, 2)), False, "_02.png: 40×48 pixels, and .* 64×48"),
        (lambda root: damage_picture(files.picture_path(root, 1, 2)), True, "_02.png: not a whole picture"),
        (lambda root: files.picture_path(root, 1, 2).write_text("x"), False, "_02.png: not a whole picture"),
        (lambda root: files.config_path(root, "validation").unlink(), False, "config/val.json: there is no such file"),
        (
            lambda root: rewrite(files.scene_path(root, 0, 1), lambda scene: scene["objects"].pop()),
            False,
            r"_01.json: shows \d objects, and the config has",
        ),
        (
            lambda root: rewrite(files.scene_path(root, 0, 8), lambda scene: scene.update(light_state="on")),
            False,
            "_08.json: field 'light_state' is 'on', in the config 'no'",
        ),
        (
            lambda root: rewrite(files.scene_path(root, 0, 8), lambda scene: scene["objects"][0].update(color="pink")),
            False,
            "_08.json: object 0: field 'color' is 'pink'",
        ),
        (
            lambda root: rewrite(
                files.config_path(root, "train"), lambda problems: problems[1][6].update(label=2, type="potential")
            ),
            False,
            "train.json: problem 1: panel 6: field 'label' is 2 of a query of the type 'potential'",
        ),
        (
            lambda root: rewrite(files.config_path(root, "train"), lambda problems: problems[1].pop(3)),
            False,
            "train.json: problem 1: has 9 panels",
        ),
    ],
)
def test_damage_is_a_problem_that_names_file_and_field(folder, damage, decode, named):
    damage(folder)
    (found,) = check(folder, decode=decode).problems
    assert re.search(named, found)


def test_an_object_looks_alike_in_all_panels_of_a_problem(folder):
    problem = files.read_problems(folder, "train")[0]
    ids = [each for objects in problem.panels for each in objects]
    twice = next(each for each in ids if ids.count(each) > 1)
    panel = next(panel for panel, objects in enumerate(problem.panels) if twice in objects)
    place = problem.panels[panel].index(twice)

    def recolor(scene):
        colors = {"red", "blue"} - {scene["objects"][place]["color"]}
        scene["objects"][place]["color"] = colors.pop()

    rewrite(files.scene_path(folder, 0, panel), recolor)
    (found,) = check(folder).problems
    assert f"object {twice} is" in found
    assert "in another panel of the problem" in found


def test_up_to_a_limit_damage_is_only_a_note(folder):
    files.picture_path(folder, 1, 7).unlink()
    findings = check(folder, limit=0.34)
    assert findings.problems == []
    assert "ACRE_train_000001_07.png: missing, as are 0 other panels" in findings.notes[0]
    assert findings.counts["train"]["pictures missing or broken"] == 1


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda path: None, "there is no such data folder"),
        (lambda path: path.mkdir(), "no folder config/ here"),
        (
            lambda path: (path / "ACRE_Sys").mkdir(parents=True),
            "holds the regimes Sys; name one of them: --data=.*ACRE_Sys",
        ),
    ],
)
def test_a_folder_that_is_not_that_of_a_regime_is_named(tmp_path, make, named):
    make(tmp_path / "data")
    with pytest.raises(InputError, match=named):
        check(tmp_path / "data")


def test_a_store_that_lacks_problems_is_named(root, tmp_path):
    shutil.copytree(root, tmp_path / "ACRE_IID")
    assert check(tmp_path / "ACRE_IID").counts["train"]["latents/oracle"] == 24
    entries = json.loads(files.config_path(root, "train").read_text())
    files.config_path(tmp_path / "ACRE_IID", "train").write_text(json.dumps([*entries, entries[0]]))
    for panel in range(PANELS):
        scene = files.scene_path(tmp_path / "ACRE_IID", 0, panel)
        files.scene_path(tmp_path / "ACRE_IID", 24, panel).write_bytes(scene.read_bytes())
    (found,) = check(tmp_path / "ACRE_IID").problems
    assert "scene_index 24 has no latents" in found
