"""Worlds: the files, what they depend on, and the share of hidden snitches."""

import json

import numpy as np
import pytest

from aloe.data.video import probe
from aloe.errors import InputError
from aloe.tasks.cater import annotations, controls, files, grid, scenes, world
from aloe.tasks.cater.files import CAMERAS, Video


def tree(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_official_files_are_there(drawn):
    videos, told = files.find_videos(drawn), files.find_annotations(drawn)
    assert sorted(videos) == sorted(told) == [*range(10), *range(1_000_000, 1_000_010)]
    info = probe(videos[1_000_003], decode=True)
    assert (info.frames, info.width, info.height, info.fps) == (301, 32, 24, 24.0)
    assert {path.name for path in drawn.iterdir()} == {"all_actions", "all_actions_cameramotion", "world.json"}
    for folder in files.camera_folders(drawn).values():
        names = {path.stem for path in (folder / "lists" / "localize").iterdir()}
        assert names == {"train", "val", "train_subsetT", "train_subsetV"}
    record = json.loads(told[1_000_003].read_text())
    assert record["image_index"] == 3
    assert record["image_filename"] == videos[1_000_003].name == "CATER_new_000003.avi"
    assert {entry["instance"] for entry in record["objects"]} == set(record["movements"])


def test_labels_are_the_cells_of_the_snitch_in_the_scenes_last_frame(root):
    paths = files.find_annotations(root)
    for split in files.SPLITS:
        for video in files.read_videos(root, split):
            record = json.loads(paths[video.scene_index].read_text())
            (snitch,) = (each for each in record["objects"] if each["shape"] == "spl")
            x, y, _ = snitch["locations"][str(len(snitch["locations"]) - 1)]
            column, row = int(np.floor(x)) + 3, int(np.floor(y)) + 3
            assert video.label == row * 6 + column


def test_the_first_objects_are_a_snitch_a_medium_and_a_large_cone(root):
    for path in files.find_annotations(root).values():
        looks = [(each.shape, each.radius) for each in annotations.read_annotation(path).objects]
        assert looks[:3] == [("spl", 0.3), ("cone", 0.5), ("cone", 0.75)]
        assert 5 <= len(looks) <= 10
        assert all(shape != "spl" for shape, _ in looks[1:])


def test_lists_part_the_videos_and_tuning_parts_the_training_list(root):
    for camera in CAMERAS:
        train, validation = (files.read_videos(root, split, cameras=(camera,)) for split in files.SPLITS)
        subset_train, subset_validation = (
            files.read_videos(root, split, tuning=True, cameras=(camera,)) for split in files.SPLITS
        )
        assert (len(train), len(validation), len(subset_train), len(subset_validation)) == (21, 9, 17, 4)
        assert not set(train) & set(validation)
        assert set(subset_train) | set(subset_validation) == set(train)
        assert not set(subset_train) & set(subset_validation)


def test_a_world_grows_and_leaves_what_is_there(tmp_path):
    def write(out, videos, **settings):
        return world.write(out, videos, draw=False, workers=1, objects=5, **settings)

    write(tmp_path / "small", 20)
    small = tree(tmp_path / "small")
    assert "0 of which were there already" in str(write(tmp_path / "large", 40))
    assert "20 of which were there already" in str(write(tmp_path / "small", 40))
    assert tree(tmp_path / "small") == tree(tmp_path / "large")
    for path, content in small.items():
        if path.suffix == ".json" and path.name != "world.json":
            assert tree(tmp_path / "large")[path] == content
    train = files.read_videos(tmp_path / "small", "train", cameras=("static",))
    assert train[:7] == [
        Video(int(line[10:16]), int(line.split()[1]))
        for line in small[next(path for path in small if path.match("all_actions/lists/*/train.txt"))]
        .decode()
        .splitlines()
    ]
    other = write(tmp_path / "other", 20, seed=1)
    assert other.videos["static"]["train"] != write(tmp_path / "small", 40).videos["static"]["train"][:7]
    with pytest.raises(InputError, match="this world has seed 0, not 1"):
        write(tmp_path / "small", 40, seed=1)
    with pytest.raises(InputError, match=r"this world has hidden None, not 0.5"):
        write(tmp_path / "small", 40, hidden=0.5)


@pytest.mark.parametrize(
    ("hidden", "low", "high"), [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.5, 0.35, 0.65), (None, 0.2, 0.45)]
)
def test_the_share_of_hidden_snitches_is_as_asked(hidden, low, high):
    number = 20 if hidden in (0.0, 1.0) else 80  # 0.15 is nearly three standard deviations
    share = np.mean([scenes.is_hidden(scenes.sample(7, index, 6, hidden).annotation) for index in range(number)])
    assert low <= share <= high


def test_the_report_counts_what_the_files_say(root):
    report = world.write(root, 60, draw=False, workers=1, hidden=0.5)
    for camera in CAMERAS:
        for split, name in files.LISTS.items():
            videos = files.read_videos(root, split, cameras=(camera,))
            endings = controls.read_endings(root, videos)
            told = report.videos[camera][name]
            assert [each.label for each in told] == [video.label for video in videos]
            kinds = [endings[video.scene_index].kind for video in videos]
            assert world.share(told, "hidden") == np.mean([kind != controls.SEEN for kind in kinds])
            assert world.share(told, "carried") == np.mean([kind == controls.CARRIED for kind in kinds])
    assert "60 videos, 60 of which were there already" in str(report)
    assert "no video file was written" in str(report)


def test_labels_spread_over_the_table():
    labels = [scenes.sample(3, index, 6).annotation.label for index in range(150)]
    counts_A = np.bincount(labels, minlength=grid.CELLS)
    assert (counts_A > 0).sum() > 30
    assert counts_A.max() < 0.12 * len(labels)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"videos": None}, "--videos is missing"),
        ({"videos": 19}, "videos=19: there must be at least 20"),
        ({"seed": -1}, "seed=-1"),
        ({"width": 33}, "size=33x240: both must be even"),
        ({"workers": 0}, "workers=0"),
        ({"gpu": True}, "gpu=True: JAX finds no GPU"),
        ({"gpu": True, "draw": False}, "gpu=True: without videos"),
        ({"hidden": 1.5}, "--hidden=1.5: give a chance"),
        ({"objects": 4}, "--objects=4: a video has 5 to 10"),
        ({"objects": 11}, "--objects=11: a video has 5 to 10"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        world.write(tmp_path / "world", **({"videos": 20} | settings))
    assert not list(tmp_path.iterdir())
