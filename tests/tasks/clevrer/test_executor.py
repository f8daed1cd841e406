import numpy as np
import pytest

from aloe.tasks.clevrer import executor
from aloe.tasks.clevrer.executor import Event, ExecutionError, Object, Scene

# 0, a red metal cube, rests; 1, a blue rubber cube, moves from frame 2 on; 2, a red rubber sphere, enters at 3 and
# leaves at 8; 3, a green metal cylinder, is never seen. 1 hits 0 at 4, 2 hits 1 at 6.
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
        # Motion: at a frame only what is in view then counts; without one, moving is moving at any frame in view.
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
        # Not timed, every pair once.
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


def test_a_list_is_no_answer(scene):
    with pytest.raises(ExecutionError, match="no answer"):
        executor.answer(["objects"], scene)
    with pytest.raises(ExecutionError, match="not in yes or no"):
        executor.judge([], ["objects", "count"], scene)


def test_what_an_official_annotation_does_not_tell():
    states = [{"object_id": 7, "velocity": [0.3, 0.4, 9.0], "inside_camera_view": True}]
    annotation = {
        "object_property": [{"object_id": 7, "color": "red", "material": "metal", "shape": "cube"}],
        "motion_trajectory": [{"frame_id": 0, "objects": states}],
        "collision": [],
    }
    scene = executor.read(annotation)
    assert scene.speed_FxO.tolist() == [[0.5]]  # planar
    assert executor.answer(["objects", "unique", "query_color"], scene) == "red"
    for program in ("unseen_events", "all_events objects unique get_counterfact"):
        with pytest.raises(ExecutionError, match="not known"):
            executor.run(program.split(), scene)
