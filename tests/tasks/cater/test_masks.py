"""Exact masks, rendered from the files alone, match the pictures."""

import json

import numpy as np
import pytest

from aloe.data.video import read_frames
from aloe.errors import InputError
from aloe.render import raycast
from aloe.tasks.cater import files, masks, pictures, scenes
from aloe.tasks.cater.annotations import COLORS, covered

FRAMES = [0, 40, 299]


@pytest.mark.parametrize("scene_index", [1, 1_000_001])
def test_masks_are_those_of_the_scene_that_was_drawn(drawn, scene_index):
    scene = scenes.sample(0, scene_index, most=5)
    exact = masks.exact(files.find_annotations(drawn)[scene_index], FRAMES, 24)
    solids = pictures.solids(scene.objects, scene.motion.location_FxOx3[FRAMES], scene.motion.yaw_FxO[FRAMES])
    places = None if scene.camera_Fx3 is None else scene.camera_Fx3[FRAMES]
    wanted_FxYxX = np.asarray(raycast.visible(solids, pictures.views(places, 24, 24)))
    np.testing.assert_array_equal(exact.object_FxYxX, wanted_FxYxX)
    assert [COLORS[number] for number in exact.color_O] == [each.color for each in scene.objects]
    assert len(np.unique(exact.object_FxYxX)) > 3


@pytest.mark.parametrize("scene_index", [1, 1_000_001])
def test_where_the_mask_has_coloured_objects_the_video_is_coloured(drawn, scene_index):
    """The spread of the channels tells coloured objects from the grey background, however they are lit."""
    video, path = files.find_videos(drawn)[scene_index], files.find_annotations(drawn)[scene_index]
    image_FxYxXx3 = read_frames(video, range(0, 301, 10), (24, 24)).astype(float)
    exact = masks.exact(path, range(0, 301, 10), 24)
    gray_FxYxX = exact.object_FxYxX == -1
    spread_FxYxX = image_FxYxXx3.max(-1) - image_FxYxXx3.min(-1)
    colored = [n for n, color in enumerate(exact.color_O) if COLORS[color] not in ("gray", "brown")]
    of_objects = np.isin(exact.object_FxYxX, colored)
    assert np.median(spread_FxYxX[of_objects]) > 4 * np.median(spread_FxYxX[gray_FxYxX]) + 10


def test_what_is_covered_is_not_shown():
    """Except for the pixel that the grid of rays may hit at the apex."""
    for seed in range(6):
        scene = scenes.sample(seed, 1, hidden=1.0)
        frames_F = np.arange(0, 301, 30)
        solids = pictures.solids(scene.objects, scene.motion.location_FxOx3[frames_F], scene.motion.yaw_FxO[frames_F])
        index_FxYxX = np.asarray(raycast.visible(solids, pictures.views(None, 80, 60)))
        for frame, hidden_O in enumerate(covered(scene.annotation)[frames_F]):
            for number in np.flatnonzero(hidden_O):
                assert (index_FxYxX[frame] == number).sum() <= 1


def test_masks_by_slot_are_those_of_the_objects_in_their_order(drawn):
    path = files.find_annotations(drawn)[2]
    object_FxYxX = masks.exact(path, FRAMES, 24).object_FxYxX
    slots_FxNxYxX = masks.by_slot(path, FRAMES, 24, 8)
    assert slots_FxNxYxX.shape == (3, 8, 24, 24)
    for slot in range(8):
        np.testing.assert_array_equal(slots_FxNxYxX[:, slot], object_FxYxX == slot)


def test_only_a_world_of_our_own_has_them(drawn, tmp_path):
    assert masks.exist(drawn)
    assert masks.exist(drawn / "all_actions")
    assert set(masks.find(drawn)) == set(files.find_annotations(drawn))
    (tmp_path / "all_actions" / "lists" / "localize").mkdir(parents=True)
    assert not masks.exist(tmp_path)
    with pytest.raises(InputError, match="exact masks are of worlds of our own"):
        masks.find(tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda record: record["objects"][1].pop("turns"), "object 1: field 'turns' is missing"),
        (lambda record: record["objects"][1]["turns"].pop(), "object 1: field 'turns' must have numbers for all 301"),
        (lambda record: record["camera"].pop(), "field 'camera' must have numbers for all 301 frames"),
        (lambda record: record["camera"][3].append(0), "field 'camera' must have numbers for all 301 frames"),
    ],
)
def test_a_scene_that_does_not_tell_enough_is_refused(drawn, tmp_path, damage, message):
    record = json.loads(files.find_annotations(drawn)[1_000_001].read_text())
    damage(record)
    path = tmp_path / "CATER_new_000001.json"
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=f"CATER_new_000001.json: {message}"):
        masks.exact(path, FRAMES, 24)
