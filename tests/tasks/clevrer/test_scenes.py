import itertools

import numpy as np
import pytest

from aloe.render import camera, raycast
from aloe.tasks.clevrer import executor, scenes


def test_a_scene_is_a_pure_function_of_seed_and_index():
    (one, moved), (same, moved_alike), (other, _) = scenes.sample(3, 5), scenes.sample(3, 5), scenes.sample(4, 5)
    assert one.attributes == same.attributes
    assert (moved.location_FxOx2 == moved_alike.location_FxOx2).all()
    assert moved.collisions == moved_alike.collisions
    assert one.attributes != other.attributes or (one.location_Ox2 != other.location_Ox2).any()


def test_every_scene_is_as_promised(drawn):
    for each in drawn:
        objects = len(each.scene.attributes)
        assert 3 <= objects <= 6
        assert len(set(each.scene.attributes)) == objects
        pairs = [collision.pair for collision in each.motion.collisions]
        assert len(set(pairs)) == len(pairs), "a pair collides twice"
        assert any(collision.frame < scenes.SEEN for collision in each.motion.collisions)
        for event in each.read.events[1:-1]:
            assert scenes.QUIET_START <= event.frame < scenes.QUIET_END[0]
        for one, other in itertools.combinations(each.read.events[1:-1], 2):
            if one.kind == other.kind or set(one.objects) & set(other.objects):
                assert abs(one.frame - other.frame) >= scenes.APART
        assert each.read.visible_FxO.sum(0).min() >= scenes.SHORTEST_VIEW


def test_scenes_differ_in_what_happens(drawn):
    kinds = {event.kind for each in drawn for event in each.read.events}
    assert kinds == {"start", "end", "in", "out", "collision"}
    assert {len(each.scene.attributes) for each in drawn} == {3, 4, 5, 6}
    for when, state in (("start", "moving"), ("start", "stationary"), ("end", "moving"), ("end", "stationary")):
        program = f"objects {when} get_frame filter_{state} count".split()
        assert len({executor.answer(program, each.read) for each in drawn}) > 1
    assert np.mean([bool(each.truth["unseen"]["collision"]) for each in drawn]) > 0.3


def test_nothing_shows_of_an_object_out_of_view(drawn):
    view = camera.clevrer(120, 80)
    checked = 0
    for each in drawn[:4]:
        index_FxYxX = np.asarray(raycast.visible(scenes.solids(each.scene, each.motion), view))
        inside_FxO = each.read.visible_FxO
        pixels_FxO = np.stack([(index_FxYxX == index).sum((1, 2)) for index in range(inside_FxO.shape[1])], -1)
        assert (pixels_FxO[~inside_FxO] == 0).all()
        # And what is said to be in view does show, but for a sliver at the border and for what stands in front.
        assert (pixels_FxO[inside_FxO] > 0).mean() > 0.97
        checked += (~inside_FxO).sum()
    assert checked > 100


@pytest.mark.parametrize("shape", ["cube", "sphere", "cylinder"])
def test_in_view_begins_where_the_first_pixel_shows(shape):
    """Pushed in from the left through a fine picture: flagged no later than drawn, and hardly earlier."""
    view = camera.clevrer(960, 640)
    y_F = np.linspace(-2.8, -1.8, 101)
    location_Fx1x2 = np.stack([np.zeros(101), y_F], -1)[:, None]
    still = scenes.Scene((("red", "metal", shape),), location_Fx1x2[0], np.zeros(1), np.zeros((1, 2)), np.zeros(1, int))
    motion = still.simulate()
    solid = scenes.solids(still, motion)
    solid = solid._replace(
        location_FxOx3=np.append(location_Fx1x2, np.full((101, 1, 1), scenes.HALF_SIZE[shape][2]), -1),
        yaw_FxO=np.full((101, 1), np.pi / 4),
    )
    drawn_F = (np.asarray(raycast.visible(solid, view)) == 0).any((1, 2))
    inside_F = scenes.in_view(location_Fx1x2, still.attributes)[:, 0]
    assert 0 <= drawn_F.argmax() - inside_F.argmax() <= 4  # hundredths of a unit; an object is 40 wide


def test_the_annotation_is_what_was_simulated(drawn):
    for each in drawn[:6]:
        assert len(each.annotation["motion_trajectory"]) == scenes.SEEN
        for frame in (0, 60, scenes.SEEN - 1):
            entry = each.annotation["motion_trajectory"][frame]
            assert entry["frame_id"] == frame
            for state in entry["objects"]:
                index = state["object_id"]
                np.testing.assert_allclose(state["location"][:2], each.motion.location_FxOx2[frame, index], atol=5.1e-5)
                np.testing.assert_allclose(state["velocity"][:2], each.motion.velocity_FxOx2[frame, index], atol=5.1e-5)
        assert [(tuple(entry["object_ids"]), entry["frame_id"]) for entry in each.annotation["collision"]] == [
            (collision.pair, collision.frame) for collision in each.motion.collisions if collision.frame < scenes.SEEN
        ]


def test_velocity_is_the_change_of_location_a_second(drawn):
    """Away from collisions and starts, to the size of the friction in a frame."""
    for each in drawn[:6]:
        change = np.diff(each.motion.location_FxOx2, axis=0) * scenes.PHYSICS.frame_rate
        error = np.linalg.norm(change - each.motion.velocity_FxOx2[:-1], axis=-1)
        smooth = np.linalg.norm(np.diff(each.motion.velocity_FxOx2, axis=0), axis=-1) < 0.02
        assert smooth.mean() > 0.9
        assert error[smooth].max() < 0.02


def test_truth_is_what_happens_without_each_object(drawn):
    """Simulated anew with the object put far away, where it can touch nothing, instead of being left out."""
    for each in drawn[:8]:
        for entry in each.truth["counterfactual"]:
            removed = entry["removed"]
            elsewhere = each.scene.location_Ox2.copy()
            elsewhere[removed] = (500, 500)
            pushed = each.scene.velocity_Ox2.copy()
            pushed[removed] = 0
            again = scenes.Scene(
                each.scene.attributes, elsewhere, each.scene.angle_O, pushed, each.scene.start_O
            ).simulate()
            assert {tuple(collision["object_ids"]) for collision in entry["collision"]} == {
                collision.pair for collision in again.collisions
            }
