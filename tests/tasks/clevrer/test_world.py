import json

import av
import numpy as np
import pytest

from aloe.errors import InputError
from aloe.render import raycast
from aloe.tasks.clevrer import appearance, check, executor, files, scenes, world
from aloe.tasks.clevrer.view import clevrer_camera

SIZE = {"width": 48, "height": 32}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The same world of four videos, written by one process and by two."""
    folder = tmp_path_factory.mktemp("world")
    reports = {workers: world.write(folder / str(workers), 4, workers=workers, **SIZE) for workers in (1, 2)}
    return folder, reports


def texts(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.json"))}


def load(file):
    return json.loads(file.read_text())


def test_the_number_of_processes_changes_nothing(written):
    folder, reports = written
    assert texts(folder / "1") == texts(folder / "2")
    assert len(texts(folder / "1")) == 3 + 1 + 3 + 1 + 4 + 1  # lists, settings, annotations, and three kinds of truth
    assert reports[1].answers == reports[2].answers


def test_the_official_layout(written):
    folder, reports = written
    out = folder / "1"
    assert {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()} == {
        "train.json",
        "validation.json",
        "test.json",
        "world.json",
        "video_00000-01000/video_00000.mp4",
        "video_00000-01000/video_00001.mp4",
        "video_10000-11000/video_10000.mp4",
        "video_15000-16000/video_15000.mp4",
        "annotation_00000-01000/annotation_00000.json",
        "annotation_00000-01000/annotation_00001.json",
        "annotation_10000-11000/annotation_10000.json",
        "truth/hidden_test.json",
        "truth/hidden_annotation_15000-16000/hidden_annotation_15000.json",
        "truth/truth_00000-01000/truth_00000.json",
        "truth/truth_00000-01000/truth_00001.json",
        "truth/truth_10000-11000/truth_10000.json",
        "truth/truth_15000-16000/truth_15000.json",
    }
    assert reports[1].videos == {"train": 2, "validation": 1, "test": 1}
    for split, first, size in (("train", 0, 2), ("validation", 10_000, 1), ("test", 15_000, 1)):
        records = load(out / f"{split}.json")
        assert [record["scene_index"] for record in records] == list(range(first, first + size))
        assert [record["video_filename"] for record in records] == [
            f"video_{first + place:05d}.mp4" for place in range(size)
        ]
        for record in records:
            assert [question["question_id"] for question in record["questions"]] == list(
                range(len(record["questions"]))
            )
            types = [question["question_type"] for question in record["questions"]]
            order = ["descriptive", "explanatory", "predictive", "counterfactual"]
            assert types == sorted(types, key=order.index)


def test_an_annotation_has_the_official_fields(written):
    annotation = load(written[0] / "1" / "annotation_10000-11000" / "annotation_10000.json")
    assert set(annotation) == {"scene_index", "video_filename", "object_property", "motion_trajectory", "collision"}
    assert annotation["scene_index"] == 10_000
    objects = range(len(annotation["object_property"]))
    assert [entry["frame_id"] for entry in annotation["motion_trajectory"]] == list(range(128))
    for entry in annotation["object_property"]:
        assert set(entry) == {"object_id", "color", "material", "shape"}
    for frame in annotation["motion_trajectory"]:
        assert [state["object_id"] for state in frame["objects"]] == list(objects)
        for state in frame["objects"]:
            assert all(len(state[name]) == 3 for name in ("location", "orientation", "velocity", "angular_velocity"))
            assert isinstance(state["inside_camera_view"], bool)
    for collision in annotation["collision"]:
        assert set(collision) == {"object_ids", "frame_id", "location"}
        assert 0 < collision["frame_id"] < 128


def test_the_test_split_gives_nothing_away(written):
    out = written[0] / "1"
    public, private = load(out / "test.json"), load(out / "truth" / "hidden_test.json")

    def keys(value):
        if isinstance(value, dict):
            return set(value).union(*map(keys, value.values()))
        return set().union(*map(keys, value)) if isinstance(value, list) else set()

    assert not keys(public) & {"answer", "program"}
    assert keys(private) >= {"answer", "program"}
    for asked, answered in zip(public[0]["questions"], private[0]["questions"], strict=True):
        assert asked["question"] == answered["question"]
        assert [choice["choice"] for choice in asked.get("choices", [])] == [
            choice["choice"] for choice in answered.get("choices", [])
        ]


def test_answers_follow_from_the_files(written):
    out = written[0] / "1"
    hidden = {"train": (out, ""), "validation": (out, ""), "test": (out / "truth", "hidden_")}
    for split, (source, prefix) in hidden.items():
        for record in load(source / f"{prefix}{split}.json"):
            index = record["scene_index"]
            folder = f"{index // 1000 * 1000:05d}-{index // 1000 * 1000 + 1000:05d}"
            scene = executor.read(
                files.read_annotation(source / f"{prefix}annotation_{folder}" / f"{prefix}annotation_{index:05d}.json"),
                load(out / "truth" / f"truth_{folder}" / f"truth_{index:05d}.json"),
            )
            for question in record["questions"]:
                if question["question_type"] == "descriptive":
                    assert executor.answer(question["program"], scene) == question["answer"]
                for choice in question.get("choices", []):
                    assert executor.judge(choice["program"], question["program"], scene) == choice["answer"]


def test_the_readers_of_the_official_files_take_the_world_as_it_is(written):
    out = written[0] / "1"
    findings = check.check(out, decode=True)
    assert not findings.problems
    assert [findings.counts[split]["videos"] for split in files.SPLITS] == [2, 1, 1]
    assert sorted(files.find_annotations(out)) == [0, 1, 10_000]
    assert all(question.answer is None for video in files.read_questions(out, "test") for question in video.questions)


def read_video(file):
    with av.open(str(file)) as container:
        assert container.streams.video[0].average_rate == 25
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_a_video_shows_the_scene(written):
    image_FxYxXx3 = read_video(written[0] / "1" / "video_10000-11000" / "video_10000.mp4")
    assert image_FxYxXx3.shape == (128, 32, 48, 3)
    scene, motion = scenes.sample(0, 10_000)
    view = clevrer_camera(**SIZE)
    solids = appearance.solids(scene.attributes, motion.location_FxOx2[:128], motion.angle_FxO[:128])
    drawn = np.asarray(raycast.render(solids, view, samples=2)).astype(int)
    grey = (image_FxYxXx3.astype(int) - drawn).mean(-1)  # colour is stored at half resolution
    assert abs(grey).mean() < 2
    moved = abs(np.diff(drawn.mean(-1), axis=0)).max()
    assert moved > 20, "nothing moves"


def test_a_second_run_keeps_what_is_there_and_makes_what_is_not(written, tmp_path):
    out = tmp_path / "world"
    first = world.write(out, 3, workers=1, **SIZE)
    assert first.kept == 0
    before = texts(out)
    video, lost = (out / "video_00000-01000" / "video_00000.mp4"), (out / "video_10000-11000" / "video_10000.mp4")
    stamp = video.stat().st_mtime_ns
    lost.unlink()
    (out / "train.json").unlink()
    again = world.write(out, 4, workers=1, **SIZE)  # with one more video
    assert again.kept == 2
    assert video.stat().st_mtime_ns == stamp
    assert lost.exists()
    after = texts(out)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"train.json", "world.json"}
    assert json.loads(after["train.json"])[:1] == json.loads(before["train.json"])
    assert after == texts(written[0] / "1")


def videos(out):
    return {str(file.relative_to(out)): file.read_bytes() for file in sorted(out.rglob("*.mp4"))}


def test_without_videos_all_else_is_there_and_a_later_run_draws_them(written, tmp_path):
    out = tmp_path / "world"
    undrawn = world.write(out, 4, workers=1, draw=False, **SIZE)
    assert texts(out) == texts(written[0] / "1")
    assert not videos(out)
    assert "no video file was written" in str(undrawn)
    assert "render" not in undrawn.seconds
    findings = check.check(out, decode=True)
    assert not findings.problems
    assert [findings.counts[split]["videos"] for split in files.SPLITS] == [0, 0, 0]
    assert sum("no videos of the" in note and "without --without_videos" in note for note in findings.notes) == 3
    assert world.write(out, 4, workers=1, draw=False, **SIZE).kept == 4

    drawn = world.write(out, 4, workers=1, **SIZE)
    assert drawn.kept == 0
    assert "no video file" not in str(drawn)
    assert texts(out) == texts(written[0] / "1")
    assert videos(out) == videos(written[0] / "1")
    assert world.write(out, 4, workers=1, draw=False, **SIZE).kept == 4
    assert len(videos(out)) == 4


def test_this_process_draws_what_its_workers_would(written, tmp_path, monkeypatch):
    """Here on the CPU, which then draws several frames at once, as a GPU does."""
    out = tmp_path / "world"
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    report = world.write(out, 4, workers=2, gpu=True, **SIZE)
    assert report.seconds["write"] > 0
    assert "render" not in report.seconds
    assert texts(out) == texts(written[0] / "1")
    for one, other in zip(sorted(out.rglob("*.mp4")), sorted((written[0] / "1").rglob("*.mp4")), strict=True):
        pictures = [read_video(file) for file in (one, other)]
        assert abs(pictures[0].astype(int) - pictures[1]).mean() < 0.1
    assert world.write(out, 4, workers=1, **SIZE).kept == 4


def test_a_video_that_cannot_be_written_stops_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    (tmp_path / "world").mkdir()
    monkeypatch.setattr("aloe.tasks.clevrer.pictures.write", lambda image, file: (file / "in a file").read_bytes())
    with pytest.raises(OSError, match="in a file"):
        world.write(tmp_path / "world", 3, workers=1, gpu=True, **SIZE)
    assert not (tmp_path / "world" / "train.json").exists()


@pytest.mark.parametrize(
    ("change", "names"),
    [({"seed": 1}, "seed 0, not 1"), ({"width": 64}, "width 48, not 64"), ({"videos": 3}, "has 4 videos")],
)
def test_a_folder_of_another_world_is_refused(written, change, names):
    out = written[0] / "1"
    before = texts(out)
    with pytest.raises(InputError, match=names):
        world.write(out, **({"videos": 4} | SIZE | change))
    assert texts(out) == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("the only copy")
    with pytest.raises(InputError, match="no world"):
        world.write(tmp_path, 4)
    (tmp_path / "world.json").write_text("{")
    with pytest.raises(InputError, match="does not parse"):
        world.write(tmp_path, 4)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"videos": 2}, "videos=2"),
        ({"videos": 20_001}, "videos=20001"),
        ({"videos": 4, "width": 95}, "size=95x320"),
        ({"videos": 4, "height": 0}, "size=480x0"),
        ({"videos": 4, "workers": 0}, "workers=0"),
        ({"videos": 4, "seed": -1}, "seed=-1"),
        ({"videos": 4, "gpu": True, "draw": False}, "nothing to draw"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(tmp_path, arguments, names):
    with pytest.raises(InputError, match=names):
        world.write(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("videos", "sizes"),
    [(3, (1, 1, 1)), (600, (480, 60, 60)), (12_500, (10_000, 1_250, 1_250)), (20_000, (10_000, 5_000, 5_000))],
)
def test_splits(videos, sizes):
    assert tuple(world._splits(videos).values()) == sizes


def test_the_report_names_what_was_written(written):
    folder, reports = written
    report = reports[2]
    text = str(report)
    assert str(folder / "2") in text
    assert report.questions["train"]["descriptive"] == sum(
        question["question_type"] == "descriptive"
        for record in load(folder / "2" / "train.json")
        for question in record["questions"]
    )
    assert "exist" in text
    assert "render" in text
