"""Worlds: the files, the pictures, and what they depend on."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aloe.data.video import read_frames
from aloe.errors import InputError
from aloe.perception.run_lengths import from_runs
from aloe.tasks.acre import files, generator, pictures, placing, world
from aloe.tasks.acre.objects import REGIMES, attributes
from aloe.tasks.acre.pictures import lights
from aloe.tasks.acre.problems import PANELS, to_json
from aloe.tasks.acre.scenes import read_scene

SIZE = (48, 64)


def panels(root):
    """Yields (split, problem, panel) for all panels of all splits."""
    for split in files.SPLITS:
        for problem in files.read_problems(root, split):
            for panel in range(PANELS):
                yield split, problem, panel


def tree(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("regime", REGIMES)
def test_each_panel_has_its_picture_and_its_scene(drawn, regime):
    root = drawn / f"ACRE_{regime}"
    seen = 0
    for split, problem, panel in panels(root):
        picture = Image.open(files.picture_path(root, problem.scene_index, panel))
        assert (picture.mode, picture.size) == ("RGBA", SIZE[::-1])
        scene = read_scene(files.scene_path(root, problem.scene_index, panel))
        assert scene.light == lights(problem)[panel]
        assert list(scene.objects) == [attributes(regime, split)[each] for each in problem.panels[panel]]
        seen += 1
    assert seen == 5 * PANELS
    assert {path.name for path in (root / "config").iterdir()} == {"train.json", "val.json", "test.json"}
    assert len(list((root / "images").iterdir())) == len(list((root / "scenes").iterdir())) == 5 * PANELS


def test_a_problems_pictures_are_a_video_of_ten_frames(drawn):
    root = drawn / "ACRE_IID"
    videos = files.find_videos(root)
    assert sorted(videos) == sorted(problem.scene_index for _, problem, panel in panels(root) if not panel)
    for index, path in videos.items():
        frames_FxYxXx3 = read_frames(path, range(files.FRAMES))
        for panel, frame_YxXx3 in enumerate(frames_FxYxXx3):
            rgba_YxXx4 = np.asarray(Image.open(files.picture_path(root, index, panel)))
            np.testing.assert_array_equal(frame_YxXx3, rgba_YxXx4[..., :3])
            assert (rgba_YxXx4[..., 3] == 255).all()


def test_objects_stand_apart_within_reach_and_show():
    rng = np.random.default_rng(0)
    named = attributes("IID", "train")
    for index in range(4):
        problem = generator.draw(generator.regime("IID", "train"), range(48), index, rng)
        placed = placing.place(problem, named, rng)
        for present_O, location_Ox3 in zip(placed.present_FxO, placed.location_FxOx3, strict=True):
            there = location_Ox3[present_O]
            assert abs(there[:, :2]).max() <= 2.3
            for one, other in itertools.combinations(there[:, :2], 2):
                assert np.linalg.norm(one - other) >= 0.6 + 0.6 + 0.25
            pixels, depth = placing.CAMERA.project(there)
            assert ((pixels > 0) & (pixels < (320, 240))).all()
            assert (depth > 0).all()
            assert (placing.CAMERA.project(location_Ox3[~present_O])[1] < 0).all()


def test_masks_are_apart_and_show_the_objects_where_they_are(drawn):
    root = drawn / "ACRE_IID"
    visible = []
    for _, problem, panel in panels(root):
        record = json.loads(files.scene_path(root, problem.scene_index, panel).read_text())
        masks = [
            from_runs(list(map(int, each["mask"].split(","))), SIZE, by_columns=False) for each in record["objects"]
        ]
        if record["light_state"] != "no":
            masks.append(from_runs(list(map(int, record["blicket_mask"].split(","))), SIZE, by_columns=False))
            assert masks[-1].sum() > 0.1 * masks[-1].size
        assert np.sum(masks, axis=0).max() == 1
        for each, mask_YxX in zip(record["objects"], masks, strict=False):
            rows, columns = np.nonzero(mask_YxX)
            left, top, width, height = each["bbox"]
            assert (left, top) == (columns.min(), rows.min())
            assert (left + width - 1, top + height - 1) == (columns.max(), rows.max())
            column, row = np.array(each["pixel_coords"][:2]).astype(int)
            visible.append(mask_YxX[row, column])
    assert np.mean(visible) > 0.9  # except for objects whose centre is hidden


def test_a_lit_machine_is_brighter_than_an_unlit_one(drawn):
    brightness = {"on": [], "off": []}
    for _, problem, panel in panels(drawn / "ACRE_Sys"):
        path = files.scene_path(drawn / "ACRE_Sys", problem.scene_index, panel)
        record = json.loads(path.read_text())
        if record["light_state"] in brightness:
            mask_YxX = from_runs(list(map(int, record["blicket_mask"].split(","))), SIZE, by_columns=False)
            picture = files.picture_path(drawn / "ACRE_Sys", problem.scene_index, panel)
            image_YxXx3 = np.asarray(Image.open(picture).convert("RGB"), float)
            brightness[record["light_state"]].append(image_YxXx3[mask_YxX].mean())
    assert min(brightness["on"]) > 50 + max(brightness["off"])


def test_a_world_is_a_function_of_the_seed_and_a_smaller_one_is_part_of_it(tmp_path):
    for name, videos, seed in (("one", 5, 3), ("again", 5, 3), ("more", 10, 3), ("other", 5, 4)):
        world.write(tmp_path / name, videos, seed=seed, draw=False, regimes="Sys")
    one, again, more, other = (tree(tmp_path / name) for name in ("one", "again", "more", "other"))
    assert one == again
    scenes = {path: content for path, content in one.items() if path.parent.name == "scenes"}
    assert len(scenes) == 5 * PANELS
    assert scenes.items() <= more.items()
    assert all(other[path] != content for path, content in scenes.items())


def test_a_world_of_few_objects_has_them_in_all_splits(tmp_path):
    world.write(tmp_path, 50, draw=False, regimes="IID", objects=9)
    root = tmp_path / "ACRE_IID"
    used = {each for _, problem, panel in panels(root) for each in problem.panels[panel]}
    assert len(used) == 9
    assert len({tuple(attributes("IID", "train")[each]) for each in used}) == 9
    with pytest.raises(InputError, match="this world has objects"):
        world.write(tmp_path, 50, draw=False, regimes="IID")


def test_pictures_can_be_added_later_and_what_is_there_is_kept(tmp_path):
    without = world.write(tmp_path / "later", 5, width=32, height=32, draw=False, regimes="IID")
    assert (without.kept, without.drawn) == (0, False)
    assert not (tmp_path / "later" / "ACRE_IID" / "images").exists()
    assert world.write(tmp_path / "later", 5, width=32, height=32, draw=False, regimes="IID").kept == 5
    assert world.write(tmp_path / "later", 5, width=32, height=32, regimes="IID").kept == 0
    files.picture_path(tmp_path / "later" / "ACRE_IID", 1, 4).unlink()
    assert world.write(tmp_path / "later", 5, width=32, height=32, regimes="IID").kept == 4
    world.write(tmp_path / "at once", 5, width=32, height=32, regimes="IID")
    assert tree(tmp_path / "later") == tree(tmp_path / "at once")


def test_a_config_that_exists_gives_its_problems_and_ours_the_rest(tmp_path):
    problems = [
        generator.draw(generator.regime("Comp", "test"), range(24), 9 - index, np.random.default_rng(index))
        for index in range(4)
    ]
    config = tmp_path / "their.json"
    config.write_text(json.dumps([to_json(problem) for problem in problems]))
    alone = world.write(tmp_path / "alone", config=config, regimes="Comp", draw=False)
    assert alone.problems == {"Comp": {"validation": 4}}
    root = tmp_path / "alone" / "ACRE_Comp"
    read = files.read_problems(root, "validation")
    assert [problem.context for problem in read] == [problem.context for problem in problems]
    assert [problem.queries for problem in read] == [problem.queries for problem in problems]
    scene = read_scene(files.scene_path(root, 1_000_002, 3))
    metal = [attributes("Comp", "validation")[each] for each in problems[2].panels[3]]
    assert list(scene.objects) == metal

    both = world.write(tmp_path / "both", 10, config=config, split="test", regimes="Comp", draw=False)
    assert both.problems == {"Comp": {"train": 6, "validation": 2, "test": 4}}
    before = tree(tmp_path / "both")
    again = world.write(tmp_path / "both", 10, regimes="Comp", draw=False)
    assert again.problems == {"Comp": {"train": 6, "validation": 2}}
    assert tree(tmp_path / "both") == before


def test_each_split_can_have_a_config_of_its_own_and_none_spoils_another(tmp_path):
    """The splits are as each alone would be, in whatever order they are given; the rest can be drawn."""
    size = {"regimes": "IID", "width": 32, "height": 32}
    configs = {}
    for place, split in enumerate(("validation", "test")):
        rng = np.random.default_rng(place)
        problems = [generator.draw(generator.regime("IID", split), range(48), index, rng) for index in range(3)]
        configs[split] = tmp_path / f"IID_{split}.json"
        configs[split].write_text(json.dumps([to_json(problem) for problem in problems]))
        world.write(tmp_path / split, config=configs[split], split=split, **size)
    alone = {split: tree(tmp_path / split / "ACRE_IID") for split in configs}
    mark = Path("world.json")
    for split in ("test", "validation", "test"):
        report = world.write(tmp_path / "both", config=configs[split], split=split, **size)
    assert report.kept == 3
    both = tree(tmp_path / "both" / "ACRE_IID")
    marks = [json.loads(each.pop(mark)) for each in (*alone.values(), both)]
    assert marks[2]["config"] == marks[0]["config"] | marks[1]["config"]
    assert both == alone["validation"] | alone["test"]

    for split, other in (("validation", "test"), ("test", "validation")):
        with pytest.raises(InputError, match=f"ACRE_IID: the problems of its {split} split are of another config"):
            world.write(tmp_path / "both", config=configs[other], split=split, **size)
    drawn = world.write(tmp_path / "both", 10, **size)
    assert drawn.problems == {"IID": {"train": 6}}
    after = tree(tmp_path / "both" / "ACRE_IID")
    assert both.items() <= after.items()
    with pytest.raises(InputError, match="the problems of its train split are drawn, and would be mixed"):
        world.write(tmp_path / "both", 10, config=configs["test"], split="train", **size)
    assert tree(tmp_path / "both" / "ACRE_IID") == after


def test_a_broken_config_and_one_of_another_regime_are_refused(tmp_path):
    problem = generator.draw(generator.regime("IID", "test"), range(48), 0, np.random.default_rng(5))
    entry = to_json(problem)
    config = tmp_path / "their.json"
    config.write_text(json.dumps([entry]))
    with pytest.raises(InputError, match=r"their.json: problem 0: object \d+ is none of Comp's 24"):
        world.write(tmp_path / "out", config=config, regimes="Comp", draw=False)
    entry[6] |= {"label": (entry[6]["label"] + 1) % 3}
    config.write_text(json.dumps([entry]))
    with pytest.raises(InputError, match=r"their.json: problem 0: panel 6: field 'label'"):
        world.write(tmp_path / "out", config=config, regimes="IID", draw=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"videos": None}, "--videos is missing"),
        ({"videos": 4}, "videos=4: there must be at least 5"),
        ({"videos": 5, "regimes": "IID,Compp"}, "no regime 'Compp'; did you mean Comp"),
        ({"videos": 5, "split": "val"}, "--split=val: no such split"),
        ({"videos": 5, "objects": 7}, "--objects=7: a problem of IID has up to 8 different objects of 48"),
        ({"videos": 5, "objects": 30}, "--objects=30: a problem of Comp has up to 8 different objects of 24"),
        ({"videos": 5, "seed": -1}, "seed=-1"),
        ({"videos": 5, "width": 8}, "size=8x240"),
        ({"videos": 5, "workers": 0}, "workers=0"),
        ({"videos": 5, "gpu": True}, "JAX finds no GPU here"),
        ({"videos": 5, "gpu": True, "draw": False}, "nothing to draw"),
    ],
)
def test_bad_arguments_write_nothing(tmp_path, arguments, named):
    with pytest.raises(InputError, match=named):
        world.write(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_refused(tmp_path, drawn):
    with pytest.raises(InputError, match=r"this world has seed 0, not 1; name another folder"):
        world.write(drawn, 5, seed=1, width=64, height=48)
    (tmp_path / "ACRE_IID").mkdir()
    (tmp_path / "ACRE_IID" / "mine").touch()
    with pytest.raises(InputError, match="holds something that is no world"):
        world.write(tmp_path, 5, regimes="IID")


def test_an_object_that_shows_no_pixel_has_an_empty_box():
    found = pictures.seen(np.zeros((4, 6), bool))
    assert found["bbox"] == [0, 0, 0, 0]
    assert not from_runs(list(map(int, found["mask"].split(","))), (4, 6), by_columns=False).any()
