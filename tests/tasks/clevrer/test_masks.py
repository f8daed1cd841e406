"""Exact masks match where the rendered pictures show the objects."""

import json

import numpy as np
import pytest

from aloe.errors import InputError
from aloe.tasks.clevrer import masks, pictures
from aloe.tasks.clevrer.annotations import COLORS
from aloe.tasks.clevrer.appearance import solids
from tests.tasks.clevrer.writer import write_json

NUMBERS = [3, 40, 90]
SIZE = 64


@pytest.fixture(scope="module")
def told(drawn, tmp_path_factory):
    """A scene, the masks derived from its annotation, and the pictures rendered from its simulation."""
    scene = drawn[1]
    path = write_json(tmp_path_factory.mktemp("world") / "annotation_00001.json", scene.annotation)
    exact = masks.exact(path, NUMBERS, SIZE)
    where = scene.motion.location_FxOx2[NUMBERS], scene.motion.angle_FxO[NUMBERS]
    with_objects = np.asarray(pictures.draw(solids(scene.scene.attributes, *where), SIZE, SIZE), int)
    return scene, exact, with_objects


def test_masks_lie_where_each_object_is_drawn(told):
    """Removing an object changes its own pixels, but hardly those of others: its shadow falls on the ground."""
    scene, exact, with_objects = told
    for removed in range(len(scene.scene.attributes)):
        kept = [index for index in range(len(scene.scene.attributes)) if index != removed]
        where = scene.motion.location_FxOx2[NUMBERS][:, kept], scene.motion.angle_FxO[NUMBERS][:, kept]
        rest = scene.scene.without(removed).attributes
        without = np.asarray(pictures.draw(solids(rest, *where), SIZE, SIZE), int)
        changed = np.abs(with_objects - without).max(-1) > 8
        own, others = exact.object_FxYxX == removed, (exact.object_FxYxX >= 0) & (exact.object_FxYxX != removed)
        if own.sum() >= 30:
            # A pixel at an edge may be averaged with its surroundings.
            assert np.mean(changed[own]) > 0.9
            assert np.mean(changed[others]) < 0.2


def test_objects_have_the_numbers_and_colours_of_the_annotation(told):
    scene, exact, _ = told
    assert exact.object_FxYxX.shape == (len(NUMBERS), SIZE, SIZE)
    assert [COLORS[number] for number in exact.color_O] == [color for color, _, _ in scene.scene.attributes]
    assert set(np.unique(exact.object_FxYxX)) <= set(range(-1, len(exact.color_O)))
    assert np.mean(exact.object_FxYxX == -1) > 0.5


def test_masks_by_slot_are_those_of_the_objects_in_their_order(told, tmp_path):
    scene, exact, _ = told
    path = write_json(tmp_path / "annotation_00001.json", scene.annotation)
    for slots in (2, 9):
        masks_FxNxYxX = masks.by_slot(path, NUMBERS, SIZE, slots)
        assert masks_FxNxYxX.shape == (len(NUMBERS), slots, SIZE, SIZE)
        for number in range(slots):
            np.testing.assert_array_equal(masks_FxNxYxX[:, number], exact.object_FxYxX == number)


def test_only_a_world_of_our_own_has_them(tmp_path):
    assert not masks.exist(tmp_path)
    with pytest.raises(InputError, match=r"exact masks are of worlds of our own, made by launch/make_world.py"):
        masks.find(tmp_path)
    write_json(tmp_path / "world.json", {})
    assert masks.exist(tmp_path)


def test_an_annotation_without_turns_is_refused(told, tmp_path):
    record = json.loads(json.dumps(told[0].annotation))
    del record["motion_trajectory"][5]["objects"][0]["orientation"]
    path = write_json(tmp_path / "annotation_00001.json", record)
    with pytest.raises(InputError, match=r"annotation_00001.json: .*frame 5: field 'orientation' is missing"):
        masks.exact(path, NUMBERS, SIZE)
