import itertools

import numpy as np

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


def test_questions_find_what_they_are_about(drawn):
    """In most videos something enters, in half something leaves, and in two thirds something happens after the end."""

    def share(kind):
        return np.mean([any(event.kind == kind for event in each.read.events) for each in drawn])

    assert share("in") > 0.85
    assert 0.35 < share("out") < 0.8
    assert 0.5 < np.mean([bool(each.read.unseen) for each in drawn]) < 0.9
