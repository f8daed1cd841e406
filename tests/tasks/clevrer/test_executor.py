import itertools

import numpy as np
import pytest

from aloe.tasks.clevrer import executor
from aloe.tasks.clevrer.annotations import parse_annotation
from aloe.tasks.clevrer.executor import Event, ExecutionError, Object, Scene
from tests.tasks.clevrer.writer import annotation

# 0, a red metal cube, rests; 1, a blue rubber cube, moves from frame 2 on; 2, a red rubber sphere, enters at frame 3
# and leaves at 8; 3, a green metal cylinder, is never in view. 1 hits 0 at frame 4, 2 hits 1 at 6.
RED_CUBE, BLUE_CUBE, SPHERE = "red filter_color cube filter_shape", "blue filter_color", "sphere filter_shape"
GREEN = "green filter_color"


@pytest.fixture
def scene():
    visible_FxO = np.ones((10, 4), bool)
    visible_FxO[:3, 2] = visible_FxO[8:, 2] = visible_FxO[:, 3] = False
    speed_FxO = np.zeros((10, 4))
    speed_FxO[2:, 1] = speed_FxO[:, 2] = speed_FxO[:, 3] = 1.0
    speed_FxO[9, 1] = executor.MOVING_SPEED  # not above it
    return Scene(
        objects=(
            Object(0, "red", "metal", "cube"),
            Object(1, "blue", "rubber", "cube"),
            Object(2, "red", "rubber", "sphere"),
            Object(3, "green", "metal", "cylinder"),
        ),
        visible_FxO=visible_FxO,
        speed_FxO=speed_FxO,
        collisions=(Event("collision", (0, 1), 4), Event("collision", (1, 2), 6)),
        unseen=(Event("collision", (0, 2), 12),),
        counterfactual={
            0: frozenset({(1, 2)}),
            1: frozenset(),
            2: frozenset({(0, 1)}),
            3: frozenset({(0, 1), (1, 2)}),
        },
    )


def test_there_are_31_operators_and_16_literals():
    assert len(executor.OPERATORS) == 31
    assert len(executor.LITERALS) == 16


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        ("objects count", "4"),
        ("objects red filter_color count", "2"),
        ("objects metal filter_material exist", "yes"),
        (f"objects {SPHERE} unique query_material", "rubber"),
        (f"objects {SPHERE} unique query_color", "red"),
        (f"objects {BLUE_CUBE} unique query_shape", "cube"),
        # Motion: at a frame, only objects in view then count; without one, moving means moving at any frame in view.
        ("objects null filter_moving count", "2"),
        ("objects null filter_stationary count", "1"),
        ("objects start get_frame filter_moving count", "0"),
        ("objects start get_frame filter_stationary count", "2"),
        ("objects end get_frame filter_moving count", "0"),
        ("objects end get_frame filter_stationary count", "2"),
        (f"objects events objects {SPHERE} unique filter_in unique get_frame filter_moving count", "2"),
        # Events.
        ("events count", "6"),
        ("events objects filter_collision count", "2"),
        ("events objects filter_in count", "1"),
        ("events objects filter_out exist", "yes"),
        (f"events objects {RED_CUBE} filter_in exist", "no"),
        ("events objects filter_in first filter_order get_object query_shape", "sphere"),
        ("events objects filter_out last filter_order get_frame", "8"),
        (
            f"events objects {RED_CUBE} unique filter_collision unique "
            f"objects {RED_CUBE} unique get_col_partner query_color",
            "blue",
        ),
        (
            f"events objects {BLUE_CUBE} unique filter_collision second filter_order "
            f"objects {BLUE_CUBE} unique get_col_partner query_shape",
            "sphere",
        ),
        (
            f"events events objects {SPHERE} unique filter_in unique filter_before objects filter_collision count",
            "0",
        ),
        (f"events events objects {SPHERE} unique filter_in unique filter_after objects filter_collision count", "2"),
        (
            f"events events objects {SPHERE} unique filter_out unique filter_after objects filter_collision count",
            "0",
        ),
        # Two events are ordered by time, whatever the order of the list; "before" and "after" exclude the border.
        ("events objects filter_collision first filter_order get_frame", "4"),
        ("events objects filter_collision second filter_order get_frame", "6"),
        ("events objects filter_collision last filter_order get_frame", "6"),
        ("events events objects filter_collision first filter_order filter_after objects filter_collision count", "1"),
        ("events events objects filter_collision last filter_order filter_before objects filter_collision count", "1"),
        (f"events events objects {SPHERE} unique filter_in unique filter_after objects filter_in count", "0"),
        ("events start filter_before count", "0"),
        ("events start filter_after count", "5"),
        ("events end filter_before count", "5"),
        ("start get_frame", "0"),
        ("end get_frame", "9"),
        # Collisions with any object of a list, each counted once.
        ("events objects cube filter_shape filter_collision count", "2"),
        ("events objects metal filter_material filter_collision count", "1"),
        (f"events objects {GREEN} unique filter_collision exist", "no"),
        # Events match by kind and objects, not by time; start and end belong to nothing.
        (f"events objects {SPHERE} unique filter_in unique events objects filter_out belong_to", "no"),
        (f"events objects {SPHERE} unique filter_in unique events belong_to", "yes"),
        ("start events belong_to", "no"),
        (f"objects {GREEN} unique events belong_to", "no"),
        # Without times, every pair once.
        ("all_events count", "6"),
        ("unseen_events count", "1"),
        (
            f"all_events objects {SPHERE} unique filter_collision objects {RED_CUBE} unique filter_collision unique "
            "unseen_events belong_to",
            "yes",
        ),
        (f"objects {BLUE_CUBE} unique unseen_events belong_to", "no"),
        (f"objects {BLUE_CUBE} unique unseen_events belong_to negate", "yes"),
        (f"all_events objects {SPHERE} unique get_counterfact count", "1"),
        (f"all_events objects {BLUE_CUBE} unique get_counterfact exist", "no"),
    ],
)
def test_answers(scene, program, answer):
    assert executor.answer(program.split(), scene) == answer


def test_causes_follow_each_participants_trace(scene):
    effect = f"events objects {SPHERE} unique filter_collision objects {BLUE_CUBE} unique filter_collision unique"
    ancestors = executor.run(f"events {effect} filter_ancestor".split(), scene)
    # Before the second collision: the sphere's entrance, and the first collision, through the blue cube.
    assert {(event.kind, event.objects) for event in ancestors} == {("in", (2,)), ("collision", (0, 1))}
    question = f"events {effect} filter_ancestor belong_to".split()
    assert executor.judge(f"objects {RED_CUBE} unique".split(), question, scene) == "correct"
    assert executor.judge(f"objects {GREEN} unique".split(), question, scene) == "wrong"
    assert executor.judge(f"events objects {SPHERE} unique filter_in unique".split(), question, scene) == "correct"
    assert executor.judge(f"events objects {SPHERE} unique filter_out unique".split(), question, scene) == "wrong"
    assert executor.judge(f"objects {GREEN} unique".split(), [*question, "negate"], scene) == "correct"


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("objects unique", "the one of 4"),
        ("objects yellow filter_color unique", "the one of 0"),
        ("events objects filter_in second filter_order", "the second of 1"),
        ("events objects yellow filter_color filter_in last filter_order", "the last of 0"),
        ("all_events first filter_order", "has none"),
        ("filter_color", "takes 2 values, and there are 0"),
        ("objects objects", "leaves 2 values"),
        ("", "leaves 0 values"),
        ("objects fly", "fly is no operator"),
        ("objects cube filter_color", "'cube' is no color"),
        ("objects query_color", "where one object is needed"),
        ("objects objects filter_in", "where a list of events is needed"),
        ("events unique", "the one of 6"),
        ("objects count negate", "where yes or no is needed"),
        (f"events objects {SPHERE} unique filter_collision unique get_object", "the object of"),
        (
            f"events objects {SPHERE} unique filter_collision unique objects {RED_CUBE} unique get_col_partner",
            "the partner of",
        ),
        ("objects first filter_moving", "where a frame or null is needed"),
    ],
)
def test_programs_that_mean_nothing(scene, program, why):
    with pytest.raises(ExecutionError, match=why):
        executor.run(program.split(), scene)


def random_scene(seed):
    """A record, and the scene read from it: objects that appear and disappear often, and a few collisions."""
    record = annotation(0, objects=4, frames=40, seed=seed)
    random = np.random.default_rng(seed)
    record["collision"] = [
        {"object_ids": random.permutation(4)[:2].tolist(), "frame_id": int(frame), "location": [0, 0, 0.2]}
        for frame in random.permutation(39)[:4] + 1
    ]
    return record, executor.read(parse_annotation(record, frames=40))


def states(record, index):
    return [frame["objects"][index] for frame in record["motion_trajectory"]]


@pytest.mark.parametrize("seed", range(5))
def test_events_and_motion_are_those_of_the_file(seed):
    record, scene = random_scene(seed)
    expected = {("start", (), 0), ("end", (), 39)}
    for entry in record["collision"]:
        expected.add(("collision", tuple(sorted(entry["object_ids"])), entry["frame_id"]))
    for index in range(4):
        inside = [state["inside_camera_view"] for state in states(record, index)]
        for frame in range(1, 40):
            if inside[frame] != inside[frame - 1]:
                expected.add(("in" if inside[frame] else "out", (index,), frame))
    events = executor.run(["events"], scene)
    assert {(event.kind, event.objects, event.frame) for event in events} == expected
    assert [event.frame for event in events] == sorted(event.frame for event in events)

    fast = executor.Scene(scene.objects, scene.visible_FxO, scene.speed_FxO, (), moving_speed=1.0)
    for when, frames in (("null", range(40)), ("start get_frame", [0]), ("end get_frame", [39])):
        moving, still = set(), set()
        for index in range(4):
            seen = [state for frame, state in enumerate(states(record, index)) if frame in frames]
            speeds = [sum(v * v for v in state["velocity"][:2]) ** 0.5 for state in seen if state["inside_camera_view"]]
            if speeds:
                (moving if max(speeds) > 1.0 else still).add(index)
        for state, wanted in (("moving", moving), ("stationary", still)):
            found = executor.run(f"objects {when} filter_{state}".split(), fast)
            assert {item.index for item in found} == wanted


@pytest.mark.parametrize("seed", range(5))
def test_ancestors_are_the_closure_of_the_events_just_before(seed):
    random = np.random.default_rng(seed)
    frame = iter(random.permutation(59).tolist())  # no two events in the same frame
    visible_FxO = np.zeros((60, 4), bool)
    happened = []
    for index in range(4):
        come, go = sorted((next(frame) + 1, next(frame) + 1))
        visible_FxO[come:go, index] = True
        happened += [(come, "in", (index,)), (go, "out", (index,))]
    happened += [(next(frame) + 1, "collision", pair) for pair in itertools.combinations(range(4), 2)]
    collisions = [Event(kind, objects, when) for when, kind, objects in sorted(happened) if kind == "collision"]
    objects = [Object(index, "red", "metal", "cube") for index in range(4)]
    scene = Scene(tuple(objects), visible_FxO, np.zeros((60, 4)), tuple(collisions))

    def causes(effect):
        """Computed by recursion over each participant's own events."""
        found = set()
        for index in effect[2]:
            earlier = [event for event in happened if index in event[2] and event[0] < effect[0]]
            if earlier:
                found |= {max(earlier)} | causes(max(earlier))
        return found

    many = []
    for effect in happened:
        event = next(event for event in scene.events if (event.kind, event.objects) == effect[1:])
        ancestors = executor.OPERATORS["filter_ancestor"][1](scene, scene.events, event)
        assert {(each.frame, each.kind, each.objects) for each in ancestors} == causes(effect)
        many.append(len(ancestors))
    assert min(many) == 0
    assert max(many) > 4


def test_a_list_is_no_answer(scene):
    with pytest.raises(ExecutionError, match="no answer"):
        executor.answer(["objects"], scene)
    with pytest.raises(ExecutionError, match="no answer"):
        executor.answer(["red"], scene)
    with pytest.raises(ExecutionError, match="not in yes or no"):
        executor.judge([], ["objects", "count"], scene)


def one_object(velocity_3):
    record = annotation(0, objects=1, frames=1) | {"collision": []}
    record["motion_trajectory"][0]["objects"][0] |= {"velocity": velocity_3, "inside_camera_view": True}
    return record


@pytest.mark.parametrize(("speed", "moving"), [(0.02, "0"), (0.02 + 1e-12, "1"), (0.02 - 1e-12, "0")])
def test_no_digit_of_a_speed_at_the_threshold_is_lost(speed, moving):
    scene = executor.read(parse_annotation(one_object([0, -speed, 0]), frames=1))
    assert executor.answer(["objects", "start", "get_frame", "filter_moving", "count"], scene) == moving


def test_what_an_official_annotation_does_not_tell():
    record = one_object([0.3, 0.4, 9.0])
    scene = executor.read(parse_annotation(record, frames=1))
    assert scene.speed_FxO.tolist() == [[0.5]]  # planar
    assert executor.answer(["objects", "unique", "query_color"], scene) == record["object_property"][0]["color"]
    for program in ("unseen_events", "all_events objects unique get_counterfact"):
        with pytest.raises(ExecutionError, match="not known"):
            executor.run(program.split(), scene)
