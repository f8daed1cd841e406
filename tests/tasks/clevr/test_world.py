"""Worlds: the files, the pictures, and what they depend on."""

import itertools
import json

import numpy as np
import pytest
from PIL import Image

from aloe.data.video import read_frames
from aloe.errors import InputError
from aloe.tasks.clevr import files, placing, templates, world
from aloe.tasks.clevr.vocabulary import RELATIONS
from tests.tasks.clevr.conftest import SIZE


def tree(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def written(root, kind):
    return {path: content for path, content in tree(root).items() if len(path.parts) == 3 and path.parts[0] == kind}


def test_each_image_is_asked_about_and_has_its_scene(drawn):
    videos, annotations = files.find_videos(drawn), files.find_annotations(drawn)
    assert {split: len(files.scene_indices(drawn, split)) for split in files.SPLITS} == {
        "train": 14,
        "validation": 3,
        "test": 3,
    }
    every = [index for split in files.SPLITS for index in files.scene_indices(drawn, split)]
    assert sorted(videos) == sorted(annotations) == sorted(every)
    for index, path in videos.items():
        picture = Image.open(path)
        assert (picture.mode, picture.size) == ("RGBA", SIZE[::-1])
        (image_YxXx3,) = read_frames(path, [0])
        np.testing.assert_array_equal(image_YxXx3, np.asarray(picture)[..., :3])
        assert (np.asarray(picture)[..., 3] == 255).all()
        assert json.loads(annotations[index].read_text())["image_filename"] == path.name


def test_the_scene_file_has_what_the_single_ones_have(drawn):
    for split in ("train", "validation"):
        together = json.loads(files.scenes_path(drawn, split).read_text())["scenes"]
        for record in together:
            index = files.first_index(split) + record["image_index"]
            assert json.loads(files.scene_path(drawn, index).read_text()) == record
        assert sorted(files.read_scenes(drawn, split)) == sorted(files.scene_indices(drawn, split))


def test_the_test_split_gives_nothing_away(drawn):
    assert not files.scenes_path(drawn, "test").exists()
    assert not list((drawn / "scenes").rglob("CLEVR_test*"))
    public = json.loads(files.questions_path(drawn, "test").read_text())["questions"]
    hidden = json.loads(files.questions_path(drawn / "truth", "test").read_text())["questions"]
    assert [set(each) for each in public] == [
        {"split", "image_index", "image_filename", "question_index", "question"}
    ] * len(hidden)
    for each, full in zip(public, hidden, strict=True):
        assert each.items() <= full.items()
        assert full["answer"]


def test_objects_keep_apart_and_lie_clearly_to_every_side(root):
    for index in files.scene_indices(root, "train"):
        record = json.loads(files.scene_path(root, index).read_text())
        location_Ox3 = np.array([each["3d_coords"] for each in record["objects"]])
        radius_O = np.array([placing.RADIUS[each["size"]] for each in record["objects"]])
        assert placing.LEAST <= len(location_Ox3) <= placing.MOST
        assert abs(location_Ox3[:, :2]).max() <= placing.REACH
        camera = placing.view(np.array(record["camera"]), 480, 320)
        _, depth_O = camera.project(location_Ox3)
        for one, other in itertools.combinations(range(len(location_Ox3)), 2):
            away_3 = location_Ox3[other] - location_Ox3[one]
            assert np.linalg.norm(away_3[:2]) >= radius_O[one] + radius_O[other] + placing.GAP
            for relation, opposite in (("left", "right"), ("front", "behind")):
                lies = other in record["relationships"][relation][one]
                assert lies != (other in record["relationships"][opposite][one])
                assert lies == (one in record["relationships"][opposite][other])
                # As in the official files, relations are measured along the ground.
                along = away_3 @ np.array(record["directions"][relation])
                assert lies == (along > 0)
                assert abs(along) >= placing.MARGIN - 1e-9
        assert set(record["relationships"]) == set(RELATIONS)
        assert (depth_O > 0).all()


def test_relations_are_as_the_camera_sees_them():
    position_3 = np.array([7.0, -6.0, 5.0])
    camera, towards = placing.view(position_3, 480, 320), placing.directions(position_3)
    middle_2, _ = camera.project(np.zeros(3))
    moved = {name: camera.project(each)[0] - middle_2 for name, each in towards.items()}
    assert moved["right"][0] > 40 > abs(moved["right"][1])
    assert moved["left"][0] < -40
    assert moved["front"][1] > 10
    assert moved["behind"][1] < -10
    assert moved["above"][1] < -10 < 10 < moved["below"][1]
    np.testing.assert_allclose(towards["front"][2], 0, atol=1e-12)


def test_a_world_is_a_function_of_the_seed_and_a_smaller_one_is_part_of_it(tmp_path):
    for name, videos, seed in (("one", 10, 3), ("again", 10, 3), ("more", 14, 3), ("other", 10, 4)):
        world.write(tmp_path / name, videos, seed=seed, draw=False, objects=4, workers=1)
    assert tree(tmp_path / "one") == tree(tmp_path / "again")
    one, more, other = (written(tmp_path / name, "scenes") for name in ("one", "more", "other"))
    assert len(one) == 8
    assert one.items() < more.items()
    assert all(other[path] != content for path, content in one.items())
    some, all_of_them = (
        json.loads(files.questions_path(tmp_path / name, "train").read_text())["questions"] for name in ("one", "more")
    )
    assert some == all_of_them[: len(some)]


def test_questions_are_the_same_for_any_number_of_processes(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(world, "SHARD", 3)
    flags = {"draw": False, "objects": 4}
    world.write(tmp_path / "one", 14, workers=1, **flags)
    assert "questions: 100%" in capfd.readouterr().err
    monkeypatch.setattr(world, "_ask_about", None)  # in this process, which must not ask anything itself
    world.write(tmp_path / "two", 14, workers=2, **flags)
    assert "questions: 100%" in capfd.readouterr().err
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_a_shard_is_asked_about_whatever_is_asked_before_it(tmp_path, monkeypatch):
    monkeypatch.setattr(world, "SHARD", 3)
    world.write(tmp_path, 14, draw=False, objects=4, workers=1)
    settings = world._Settings(tmp_path, 0, None, 4, templates.GROUPS)
    asked = json.loads(files.questions_path(tmp_path, "train").read_text())["questions"]
    for shard in (range(6, 9), range(3, 6)):
        of_shard = [question for _, questions in world._ask_shard(settings, shard) for question in questions]
        written = [each for each in asked if each["image_index"] in shard]
        assert [each["question"] for each in written] == [each["question"] for each in of_shard]


def test_pictures_can_be_added_later_and_what_is_there_is_kept(tmp_path):
    flags = {"width": 32, "height": 32, "objects": 3, "questions": "zero_hop", "workers": 1}
    assert world.write(tmp_path / "later", 10, draw=False, **flags).kept == 0
    assert not (tmp_path / "later" / "images").exists()
    assert world.write(tmp_path / "later", 10, **flags).kept == 0
    files.image_path(tmp_path / "later", 1).unlink()
    report = world.write(tmp_path / "later", 10, **flags)
    assert report.kept == 9
    for word in ("split", "validation", "query_attribute", "answers of", "exist", "9 of which were there already"):
        assert word in str(report)
    world.write(tmp_path / "at once", 10, **flags)
    assert tree(tmp_path / "later") == tree(tmp_path / "at once")
    with pytest.raises(InputError, match="this world has objects 3, not 10"):
        world.write(tmp_path / "later", 10, **flags | {"objects": 10})


@pytest.mark.parametrize(
    ("videos", "flags", "named"),
    [
        (None, {}, "--videos is missing"),
        (9, {}, "videos=9: there must be at least 10"),
        (10, {"objects": 2}, "--objects=2: an image has from 3 up to 10"),
        (10, {"questions": "zero_hops"}, "no questions 'zero_hops'"),
        (10, {"seed": -1}, "seed=-1"),
    ],
)
def test_what_makes_no_sense_is_said_and_nothing_is_written(tmp_path, videos, flags, named):
    with pytest.raises(InputError, match=named):
        world.write(tmp_path / "out", videos, **flags)
    assert not (tmp_path / "out").exists()
