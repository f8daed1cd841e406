import json

import numpy as np
import pytest

from aloe.errors import InputError
from aloe.tasks.clevrer.annotations import parse_annotation
from tests.tasks.clevrer.writer import annotation


def test_arrays_hold_the_file():
    record = annotation(12, objects=3)
    parsed = parse_annotation(record)
    assert parsed.scene_index == 12
    assert parsed.location_FxOx3.shape == parsed.velocity_FxOx3.shape == (128, 3, 3)
    assert (parsed.visible_FxO.shape, parsed.visible_FxO.dtype) == ((128, 3), bool)
    for frame in (0, 77, 127):
        for number, state in enumerate(record["motion_trajectory"][frame]["objects"]):
            np.testing.assert_array_equal(parsed.location_FxOx3[frame, number], np.array(state["location"], np.float32))
            np.testing.assert_array_equal(parsed.velocity_FxOx3[frame, number], state["velocity"])
            assert parsed.visible_FxO[frame, number] == state["inside_camera_view"]
    for entry, named in zip(parsed.objects, record["object_property"], strict=True):
        assert vars_of(entry) == named
    (collision,) = parsed.collisions
    assert (collision.first, collision.second, collision.frame) == (1, 0, 40)
    np.testing.assert_array_equal(collision.location_3, np.array([0.5, -0.5, 0.2], np.float32))


def vars_of(entry):
    return {name: getattr(entry, name) for name in ("object_id", "color", "material", "shape")}


def test_objects_are_told_apart_by_id_not_by_place():
    record = annotation(0, objects=4)
    shuffled = json.loads(json.dumps(record))
    for number, frame in enumerate(shuffled["motion_trajectory"]):
        frame["objects"] = frame["objects"][number % 4 :] + frame["objects"][: number % 4]
    plain, parsed = parse_annotation(record), parse_annotation(shuffled)
    np.testing.assert_array_equal(parsed.location_FxOx3, plain.location_FxOx3)
    np.testing.assert_array_equal(parsed.visible_FxO, plain.visible_FxO)


def test_ids_need_not_count_from_zero():
    record = json.loads(json.dumps(annotation(0, objects=2)).replace('"object_id": 1', '"object_id": 9'))
    record["collision"][0]["object_ids"] = [0, 9]
    (collision,) = parse_annotation(record).collisions
    assert (collision.first, collision.second) == (0, 1)


def change(path, value):
    def apply(record):
        *steps, last = path
        for step in steps:
            record = record[step]
        record[last] = value

    return apply


FIRST = ("motion_trajectory", 5, "objects", 0)


@pytest.mark.parametrize(
    ("mend", "message"),
    [
        (change(["scene_index"], "7"), r"field 'scene_index' is '7'"),
        (change(["object_property"], []), r"'object_property' is empty"),
        (change(["object_property", 1, "color"], "grey"), r"object_id 1: field 'color' is 'grey'.*nearest: gray"),
        (change(["object_property", 1, "object_id"], 0), r"'object_id' has the same value"),
        (change(["motion_trajectory", 5, "frame_id"], 6), r"frame 5: field 'frame_id' is 6; it must be 5"),
        (change(["motion_trajectory", 5, "objects"], []), r"frame 5: field 'objects' has object_ids \[\]"),
        (change([*FIRST, "object_id"], 1), r"frame 5: field 'objects' has object_ids \[1, 1\]"),
        (change([*FIRST, "location"], [1.0, 2.0]), r"frame 5: field 'location' is \[1.0, 2.0\]"),
        (change([*FIRST, "velocity"], [0, 0, True]), r"frame 5: field 'velocity'.*three finite numbers"),
        (change([*FIRST, "velocity"], [0, 0, float("nan")]), r"frame 5: field 'velocity'.*finite"),
        (change([*FIRST, "location"], [0, 0, "1"]), r"frame 5: field 'location'"),
        (change([*FIRST, "inside_camera_view"], 1), r"frame 5: field 'inside_camera_view' is 1"),
        (change(["collision", 0, "frame_id"], 128), r"collision: field 'frame_id' is 128; it must be 0 to 127"),
        (change(["collision", 0, "object_ids"], [0, 5]), r"collision: field 'object_ids' is \[0, 5\]"),
        (change(["collision", 0, "object_ids"], [1, 1]), r"collision: field 'object_ids' is \[1, 1\]"),
        (change(["collision"], None), r"field 'collision' is missing"),
    ],
)
def test_what_is_wrong_is_named(mend, message):
    record = annotation(0, objects=2)
    mend(record)
    with pytest.raises(InputError, match=message):
        parse_annotation(record)


def test_too_few_frames():
    with pytest.raises(InputError, match="has 127 frames; it must have 128"):
        parse_annotation(annotation(0, frames=127))
    assert parse_annotation(annotation(0, objects=2, frames=41), frames=41).location_FxOx3.shape == (41, 2, 3)
