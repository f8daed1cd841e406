"""Checking a data folder: each kind of damage is reported with its file, place and fix."""

import json
import re
import shutil

import pytest

from aloe.tasks.cater import files
from aloe.tasks.cater.check import check
from tests.tasks.clevrer.writer import write_video


@pytest.fixture
def folder(drawn, tmp_path):
    shutil.copytree(drawn, tmp_path / "data")
    return tmp_path / "data"


def test_a_whole_folder_is_counted(folder):
    findings = check(folder, decode=True)
    assert findings.problems == findings.notes == []
    for split, number in (("train", 7), ("validation", 3)):
        counts = findings.counts[split]
        for camera in files.CAMERAS:
            assert counts[f"{camera} camera"] == counts[f"{camera} videos"] == counts[f"{camera} scenes"] == number
            assert counts[f"{camera} videos missing or broken"] == counts[f"{camera} scenes missing or broken"] == 0


def test_a_camera_videos_and_the_lists_for_tuning_may_be_missing(folder):
    shutil.rmtree(folder / "all_actions_cameramotion")
    shutil.rmtree(folder / "all_actions" / "videos")
    files.list_path(folder / "all_actions", "train_subsetV").unlink()
    findings = check(folder)
    assert findings.problems == []
    told = "\n".join(findings.notes)
    assert "no lists of the moving camera: train with --config.data.cameras=static" in told
    assert "no static videos of the train split were found" in told
    assert "train_subsetV.txt: --config.data.tuning=True needs it" in told


def test_broken_videos_are_counted_and_let_pass_up_to_the_limit(folder):
    videos = files.find_videos(folder)
    videos[1].write_bytes(videos[1].read_bytes()[:3000])
    videos[2].write_bytes(b"")
    findings = check(folder, limit=0.3)
    assert findings.problems == []
    assert findings.counts["train"]["static videos missing or broken"] == 2
    told = "\n".join(findings.notes)
    assert "2 of 7 static videos of the train split are missing or broken; at most 2 may be" in told
    assert "CATER_new_000001.avi: expected 300 or more frames, found" in told
    assert len(check(folder, limit=0.15).problems) == 1


@pytest.mark.parametrize("decode", [False, True])
def test_a_video_of_another_size_than_those_of_its_camera_is_named_with_the_mend(folder, tmp_path, decode):
    larger = write_video(tmp_path / "larger.mp4", frames=300)
    videos = files.find_videos(folder)
    shutil.copy(larger, videos[1_000_002])
    (told,) = check(folder, decode=decode).problems
    assert f"{videos[1_000_002]}: 48×32 pixels, and others have 32×24; delete it, and unpack its archive anew" in told

    for index, path in videos.items():  # each camera may have its own size
        if files.camera_of(index) == "moving":
            shutil.copy(larger, path)
    assert check(folder, decode=decode).problems == []


def rewrite(path, change):
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def turn_round(scene):
    x, y, z = scene["objects"][0]["locations"]["300"]
    scene["objects"][0]["locations"]["300"] = [-x, -y, z]


def append(path, line):
    path.write_text(path.read_text() + line)


LISTS, SCENES = "all_actions/lists/localize", "all_actions_cameramotion/scenes"


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (
            lambda root: files.find_videos(root)[1_000_002].unlink(),
            "no moving video of .*/videos/CATER_new_000002.avi was",
        ),
        (
            lambda root: (root / SCENES / "CATER_new_000002.json").unlink(),
            "no moving scene of .*CATER_new_000002.json was",
        ),
        (
            lambda root: append(root / LISTS / "train.txt", "CATER_new_000077.avi 3\n"),
            "no static video of .*000077.avi",
        ),
        (lambda root: append(root / LISTS / "train.txt", "CATER_new_000077 3\n"), "train.txt: line 8: .*names no file"),
        (
            lambda root: append(root / LISTS / "val.txt", "CATER_new_000078.avi 36\n"),
            "val.txt: line 4: the label is 36",
        ),
        (
            lambda root: append(root / LISTS / "train_subsetV.txt", "CATER_new_000009.avi 3\n"),
            "train_subsetV.txt: CATER_new_000009.avi 3 is no line of train.txt",
        ),
        (lambda root: (root / LISTS / "val.txt").unlink(), "val.txt: cannot be read"),
        (
            lambda root: rewrite(root / SCENES / "CATER_new_000003.json", lambda scene: scene["objects"].pop(0)),
            "CATER_new_000003.json: field 'objects' has 0 snitches",
        ),
        (
            lambda root: rewrite(root / SCENES / "CATER_new_000003.json", turn_round),
            r"000003.json: the snitch ends in cell \d+, and the list says \d+; one of them is of another video",
        ),
    ],
)
def test_damage_is_named(folder, damage, named):
    damage(folder)
    findings = check(folder)
    assert findings.problems
    assert re.search(named, "\n".join(findings.problems))
