import numpy as np

from aloe.tasks.clevrer import scenes


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
    """Away from collisions and pushes, up to the effect of friction in one frame."""
    for each in drawn[:6]:
        change = np.diff(each.motion.location_FxOx2, axis=0) * scenes.PHYSICS.frame_rate
        error = np.linalg.norm(change - each.motion.velocity_FxOx2[:-1], axis=-1)
        smooth = np.linalg.norm(np.diff(each.motion.velocity_FxOx2, axis=0), axis=-1) < 0.02
        assert smooth.mean() > 0.9
        assert error[smooth].max() < 0.02


def test_truth_is_what_happens_without_each_object(drawn):
    """Simulated again with the object moved far away, where it can touch nothing, instead of left out."""
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
