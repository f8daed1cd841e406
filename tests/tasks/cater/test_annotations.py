"""Scene files: what is read, what is refused, and what is under a cone."""

import copy
import json

import numpy as np
import pytest

from aloe.errors import InputError
from aloe.tasks.cater import annotations, scenes
from aloe.tasks.cater.annotations import parse_annotation


@pytest.fixture(scope="module")
def scene():
    return scenes.sample(0, 3)


@pytest.fixture
def record(scene):
    return json.loads(json.dumps(scenes.describe(scene, 3)))


def test_a_scene_comes_back_as_it_was_drawn(scene, record):
    found = parse_annotation(record)
    assert found.objects == scene.objects
    assert found.snitch == 0
    np.testing.assert_array_equal(found.location_FxOx3, scene.motion.location_FxOx3)
    assert found.label == scene.annotation.label


@pytest.mark.parametrize("frames", [300, 301])
def test_videos_have_300_frames_or_301_and_the_label_is_of_the_last(record, frames):
    for each in record["objects"]:
        each["locations"] = {key: place for key, place in each["locations"].items() if int(key) < frames}
    record["objects"][0]["locations"][str(frames - 1)] = [-0.01, -0.01, 0.3]
    found = parse_annotation(record)
    assert len(found.location_FxOx3) == frames
    assert found.label == 14


def test_what_the_official_files_have_besides_is_passed_over(record):
    """Also, the snitch need not come first or have a valid colour and size."""
    record |= {"relationships": "malformed", "movements": None}
    record["objects"] = [*record["objects"][1:], record["objects"][0] | {"color": "whatever", "size": None}]
    for each in record["objects"]:
        del each["turns"]
    found = parse_annotation(record)
    assert found.snitch == len(found.objects) - 1
    assert found.label == parse_annotation(json.loads(json.dumps(scenes.describe(scenes.sample(0, 3), 3)))).label


def drop_frame(record):
    del record["objects"][1]["locations"]["17"]
    record["objects"][1]["locations"]["301"] = [0, 0, 0]


def shorten(record):
    del record["objects"][2]["locations"]["300"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda record: record["objects"].pop(0), r"field 'objects' has 0 snitches \(of the shape 'spl'\)"),
        (lambda record: record["objects"].append(record["objects"][0]), "field 'objects' has 2 snitches"),
        (lambda record: record.pop("objects"), "field 'objects' is missing"),
        (lambda record: record["objects"][1].update(shape="torus"), "object 1: field 'shape' is 'torus'"),
        (lambda record: record["objects"][1].update(size="huge"), "object 1: field 'size' is 'huge'"),
        (lambda record: record["objects"][1].update(color="pink"), "object 1: field 'color' is 'pink'"),
        (lambda record: record["objects"][1].pop("material"), "object 1: field 'material' is missing"),
        (lambda record: record["objects"][0].pop("locations"), "object 0: field 'locations' is missing"),
        (lambda record: record["objects"][0].update(locations={"0": [0, 0, 0]}), "has 1 frames; it must have 300 or"),
        (drop_frame, "object 1: field 'locations' has no frame 17, but 301 frames"),
        (shorten, "field 'locations' has 300 frames of one object and 301 of another"),
        (
            lambda record: record["objects"][1]["locations"].update({"5": [0, 0]}),
            "object 1: .* three numbers for every",
        ),
        (lambda record: record["objects"][1]["locations"].update({"5": [0, 0, "1"]}), "three numbers for every frame"),
        (lambda record: record["objects"][1]["locations"].update({"5": [0, 0, None]}), "three numbers for every frame"),
        (lambda record: record["objects"][1]["locations"].update({"5": [0, 0, 1e999]}), "three numbers for every"),
    ],
)
def test_what_is_wrong_is_named_with_object_and_field(record, damage, message):
    broken = copy.deepcopy(record)
    damage(broken)
    with pytest.raises(InputError, match=message):
        parse_annotation(broken)


def test_a_broken_file_is_named(tmp_path, record):
    path = tmp_path / "CATER_new_000003.json"
    path.write_text(json.dumps(record)[:5000])
    with pytest.raises(InputError, match=r"CATER_new_000003.json: not valid JSON"):
        annotations.read_annotation(path)
    path.write_text(json.dumps({"objects": []}))
    with pytest.raises(InputError, match=r"CATER_new_000003.json: field 'objects' has 0 snitches"):
        annotations.read_annotation(path)


def test_covered_by_hand():
    """The first of two cones comes down over the snitch and slides away with it; a sphere is lifted over that cone."""
    look = ("small", "gold", "metal")
    objects = tuple(
        annotations.ObjectProperty(shape, size, *look[1:])
        for shape, size in (("spl", "small"), ("cone", "medium"), ("cone", "large"), ("sphere", "small"))
    )
    location_FxOx3 = np.zeros((301, 4, 3))
    location_FxOx3[:, :, 2] = (0.3, 0.5, 0.75, 0.25)
    location_FxOx3[:, 1:, 0] = (1.0, -2.0, 2.5)
    location_FxOx3[100:, 1, 0] = 0  # over the snitch
    location_FxOx3[100:150, 1, 2] += 2.0  # high above it
    location_FxOx3[200:, :2, 0] = 1.5  # both have slid
    location_FxOx3[250:, 2, 0] = 1.5  # the large cone covers both
    location_FxOx3[280:, 2, 2] += 2.0  # and lifts off
    location_FxOx3[160:170, 3] = (0.0, 0.0, 2.25)  # above the first cone, so visible
    annotation = annotations.Annotation(objects, 0, location_FxOx3)
    wanted_FxO = np.zeros((301, 4), bool)
    wanted_FxO[150:, 0] = True
    wanted_FxO[250:280, 1] = True
    np.testing.assert_array_equal(annotations.covered(annotation), wanted_FxO)
    assert annotations.last_seen(annotation) == 149
    assert annotation.label == 22
