import json
import subprocess
import sys

import numpy as np
import pytest

from aloe.errors import InputError
from aloe.perception.feature_map import projection
from aloe.tasks.clevrer import files, oracle
from aloe.tasks.clevrer.annotations import COLORS, MATERIALS, SHAPES, parse_annotation
from tests.tasks.clevrer.writer import annotation, write_annotation


@pytest.fixture(scope="module")
def parsed():
    return [parse_annotation(annotation(index, objects=5)) for index in range(40)]


def holds_object(latents_FxNxD):
    """Which slots hold an object, judged from the latents alone: empty ones lie far along one fixed direction."""
    _, empty_D = projection(oracle.FEATURES, latents_FxNxD.shape[-1])
    return latents_FxNxD @ empty_D / (empty_D @ empty_D) < 0.5


def test_there_is_one_slot_for_each_visible_object(parsed):
    for one in parsed:
        latents_FxNxD = oracle.encode(one)
        assert (latents_FxNxD.shape, latents_FxNxD.dtype) == ((128, 8, 16), np.float32)
        np.testing.assert_array_equal(holds_object(latents_FxNxD).sum(axis=1), one.visible_FxO.sum(axis=1))


def told(parsed):
    """Latents of all slots with an object, and their annotations, row by row, matched by nearest features.

    The map serves only to match them: least squares must find it anew.
    """
    object_map, _ = projection(oracle.FEATURES, 16)
    latents, known = [], []
    for one in parsed:
        latents_FxNxD = oracle.encode(one)
        features_FxOxA = oracle.features(one)
        for frame in range(0, 128, 16):
            slots = latents_FxNxD[frame][holds_object(latents_FxNxD)[frame]]
            visible = np.flatnonzero(one.visible_FxO[frame])
            distance = np.linalg.norm((slots @ object_map)[:, None] - features_FxOxA[frame, visible], axis=-1)
            matched = visible[distance.argmin(axis=1)]
            assert sorted(matched) == sorted(visible)
            latents.extend(slots)
            for number in matched:
                entry = one.objects[number]
                one_hot = [entry.color == name for name in COLORS]
                one_hot += [entry.shape == name for name in SHAPES]
                one_hot += [entry.material == name for name in MATERIALS]
                known.append([*one.location_FxOx3[frame, number, :2], *one_hot])
    return np.array(latents, np.float64), np.array(known, np.float64)


def test_attributes_and_positions_are_linear_in_the_latents(parsed):
    latents_RxD, known_RxA = told(parsed)
    inputs = np.column_stack([latents_RxD, np.ones(len(latents_RxD))])
    half = len(inputs) // 2
    solution, *_ = np.linalg.lstsq(inputs[:half], known_RxA[:half], rcond=1e-6)
    np.testing.assert_allclose(inputs[half:] @ solution, known_RxA[half:], atol=1e-5)


def test_invisible_objects_leave_no_trace(parsed):
    one = parsed[0]
    moved = one.location_FxOx3.copy()
    moved[~one.visible_FxO] += 100
    elsewhere = type(one)(one.scene_index, one.objects, moved, one.velocity_FxOx3, one.visible_FxO, one.collisions)
    np.testing.assert_array_equal(oracle.encode(elsewhere), oracle.encode(one))


def test_the_numbers_have_about_unit_variance():
    # Attributes are uniform, positions those of the writer; over many videos, slots with objects only.
    latents = []
    for index in range(300):
        latents_FxNxD = oracle.encode(parse_annotation(annotation(index, objects=6)))[::32]
        latents.append(latents_FxNxD[holds_object(latents_FxNxD)])
    values_RxD = np.concatenate(latents)
    assert 0.5 < values_RxD.var(axis=0).min() < values_RxD.var(axis=0).max() < 1.5
    assert np.abs(values_RxD.mean(axis=0)).max() < 0.2


def still(scene_index=0, frames=128):
    """One object at rest in view."""
    record = annotation(scene_index, objects=1) | {"collision": []}
    state = record["motion_trajectory"][0]["objects"][0] | {"inside_camera_view": True}
    record["motion_trajectory"] = [{"frame_id": number, "objects": [state]} for number in range(frames)]
    return parse_annotation(record, frames)


def test_slots_are_in_another_order_in_every_frame():
    holds_FxN = holds_object(oracle.encode(still()))
    slot_F = holds_FxN.argmax(axis=1)
    # Uniform over 8 slots and independent between frames: the object keeps its slot in about an eighth of the steps.
    assert (np.bincount(slot_F, minlength=8) > 4).all()
    assert (slot_F[1:] == slot_F[:-1]).mean() < 0.3
    assert (slot_F != holds_object(oracle.encode(still(scene_index=1))).argmax(axis=1)).mean() > 0.5


def test_a_frame_depends_on_scene_index_and_frame_alone():
    np.testing.assert_array_equal(oracle.encode(still(frames=128))[:50], oracle.encode(still(frames=50)))


def test_another_process_draws_the_same(tmp_path):
    path = write_annotation(tmp_path, 3)
    program = (
        "import sys, numpy as np; from pathlib import Path; from aloe.tasks.clevrer import files, oracle;"
        f"np.save({str(tmp_path / 'other.npy')!r}, oracle.encode(files.read_annotation(Path({str(path)!r}))))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    other = np.load(tmp_path / "other.npy", allow_pickle=False)
    np.testing.assert_array_equal(other, oracle.encode(files.read_annotation(path)))


def test_empty_slots_are_noise_that_no_object_resembles():
    latents_FxNxD = oracle.encode(still())
    holds_FxN = holds_object(latents_FxNxD)
    empty_RxD = latents_FxNxD[~holds_FxN]
    assert len(np.unique(empty_RxD, axis=0)) == len(empty_RxD)
    assert np.linalg.norm(empty_RxD, axis=1).min() > 2  # nor are they near zero, the value of masked latents
    object_D = latents_FxNxD[holds_FxN][0]
    assert np.linalg.norm(empty_RxD - object_D, axis=1).min() > 2


def test_eight_objects_in_view_leave_no_slot_empty_and_nothing_out():
    record = annotation(0, objects=8)
    for frame in record["motion_trajectory"]:
        for state in frame["objects"]:
            state["inside_camera_view"] = True
    one = parse_annotation(record)
    assert oracle.crowded_frames(one) == 0
    latents_FxNxD = oracle.encode(one)
    assert holds_object(latents_FxNxD).all()
    object_map, _ = projection(oracle.FEATURES, 16)
    for frame in (0, 77):
        told_NxA, there_OxA = latents_FxNxD[frame] @ object_map, oracle.features(one)[frame]
        distance_NxO = np.linalg.norm(told_NxA[:, None] - there_OxA, axis=-1)
        np.testing.assert_allclose(distance_NxO.min(axis=1), 0, atol=1e-5)
        assert sorted(distance_NxO.argmin(axis=1)) == list(range(8))


def test_of_too_many_objects_the_first_are_kept_and_counted():
    record = annotation(0, objects=11)
    for frame in record["motion_trajectory"][:10]:
        for state in frame["objects"]:
            state["inside_camera_view"] = True
    one = parse_annotation(record)
    assert oracle.crowded_frames(one) == int((one.visible_FxO.sum(axis=1) > 8).sum()) >= 10
    object_map, _ = projection(oracle.FEATURES, 16)
    told_NxA = oracle.encode(one)[0] @ object_map
    kept_OxA = oracle.features(one)[0, :8]
    distance = np.linalg.norm(told_NxA[:, None] - kept_OxA, axis=-1)
    np.testing.assert_allclose(distance.min(axis=0), 0, atol=1e-5)
    assert sorted(distance.argmin(axis=0)) == list(range(8))


def test_a_size_too_small_for_the_features():
    with pytest.raises(ValueError, match="size 15: 15 features need at least 16"):
        oracle.encode(still(), size=15)
    assert oracle.encode(still(), size=20).shape == (128, 8, 20)


def test_the_encoder_goes_on_after_a_broken_annotation(tmp_path):
    for index in (4, 5, 6):
        write_annotation(tmp_path, index, objects=12 if index == 6 else 3)
    path = tmp_path / "annotation_00000-01000" / "annotation_00005.json"
    path.write_text("{")
    encoder = oracle.Encoder(tmp_path)
    six, five, nine, four = encoder.encode([6, 5, 9, 4])
    for index, latents_FxNxD in ((6, six), (4, four)):
        expected = oracle.encode(parse_annotation(annotation(index, objects=12 if index == 6 else 3)))
        np.testing.assert_array_equal(latents_FxNxD, expected)
    assert isinstance(five, InputError)
    assert "annotation_00005.json" in str(five)
    assert isinstance(nine, InputError)
    assert "annotation_00009.json" in str(nine)
    (remark,) = encoder.remarks()
    assert "of 1 videos" in remark
    assert "scene_index 6" in remark
    assert json.loads(json.dumps(encoder.description)) == encoder.description
