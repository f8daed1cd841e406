"""Moves: objects keep their distance, which are under which, and the path of each move."""

import numpy as np
import pytest

from aloe.tasks.cater import annotations, moves, scenes
from aloe.tasks.cater.moves import CONTAIN, FRAMES, LIFT, NO_OP, PICK_PLACE, ROTATE, SLIDE, SLOT

SEEDS = range(12)


@pytest.fixture(scope="module", params=SEEDS)
def scene(request):
    return scenes.sample(5, request.param, hidden=1.0 if request.param % 2 else None)


def replay(scene):
    """The cone directly over each object at the end of every slot, from the moves alone; [slot][object], −1: none."""
    objects = len(scene.objects)
    cover, ends = [-1] * objects, []
    for slot in range(moves.SLOTS):
        for move in scene.motion.moves:
            if slot * SLOT <= move.start < (slot + 1) * SLOT and move.action in (PICK_PLACE, CONTAIN):
                cover = [-1 if over == move.number else over for over in cover]
        for move in scene.motion.moves:
            if slot * SLOT <= move.start < (slot + 1) * SLOT and move.action == CONTAIN:
                cover[move.other] = move.number
        ends.append(list(cover))
    return ends


def test_objects_stay_on_the_table_and_apart_unless_one_is_under_the_other(scene):
    location_FxOx3, bodies = scene.motion.location_FxOx3, scenes.bodies(scene.objects)
    assert location_FxOx3.shape == (FRAMES, len(scene.objects), 3)
    assert abs(location_FxOx3[..., :2]).max() <= 3
    covers = replay(scene)
    for frame in range(FRAMES):
        slot = min(frame // SLOT, moves.SLOTS - 1)
        before, after = covers[slot - 1] if slot else [-1] * len(scene.objects), covers[slot]
        for one in range(len(scene.objects)):
            for other in range(one):
                if any(nested(cover, one, other) or nested(cover, other, one) for cover in (before, after)):
                    continue
                away_3 = location_FxOx3[frame, one] - location_FxOx3[frame, other]
                beside = np.hypot(*away_3[:2]) >= bodies.radius_O[[one, other]].sum()
                above = abs(away_3[2]) >= bodies.half_height_O[[one, other]].sum() - 1e-3
                assert beside or above, (frame, one, other)


def nested(cover, cone, number):
    """Whether `number` is under `cone`, directly or nested."""
    while cover[number] != -1:
        number = cover[number]
        if number == cone:
            return True
    return False


def test_what_is_covered_by_its_place_is_what_moves_have_covered(scene):
    hidden_FxO = annotations.covered(scene.annotation)
    for slot, cover in enumerate(replay(scene)):
        np.testing.assert_array_equal(hidden_FxO[(slot + 1) * SLOT], np.array(cover) >= 0)


def test_under_a_cone_an_object_stays_in_its_middle(scene):
    for slot, cover in enumerate(replay(scene)):
        for number, cone in enumerate(cover):
            if cone >= 0:
                place_2, middle_2 = scene.motion.location_FxOx3[(slot + 1) * SLOT, [number, cone], :2]
                np.testing.assert_allclose(place_2, middle_2, atol=2e-4)
                assert scene.objects[cone].shape == "cone"
                assert scene.objects[cone].radius > scene.objects[number].radius


def test_each_object_makes_at_most_one_move_a_slot_of_its_kind_and_length(scene):
    seen = set()
    for move in scene.motion.moves:
        slot = move.start // SLOT
        assert (slot, move.number) not in seen
        seen.add((slot, move.number))
        assert move.start - slot * SLOT <= 10
        assert 20 <= move.end - move.start <= 30
        assert move.end <= (slot + 1) * SLOT
        shape = scene.objects[move.number].shape
        assert move.action != ROTATE or shape not in ("cone", "sphere")
        assert (move.action == CONTAIN) == (move.other is not None)
        height_F = scene.motion.location_FxOx3[move.start : move.end + 1, move.number, 2]
        lifted = LIFT if move.action in (PICK_PLACE, CONTAIN) else 0
        # Positions are rounded to four decimals.
        assert height_F.max() - height_F[0] == pytest.approx(lifted, abs=1e-3)
        assert height_F[-1] == height_F[0]


def test_nothing_else_moves(scene):
    """Every change of position is due to a move: the object's own, or that of a sliding cone above it."""
    covers = replay(scene)
    told = {}
    for move in scene.motion.moves:
        slot = move.start // SLOT
        under = [
            number
            for number in range(len(scene.objects))
            if slot and move.action == SLIDE and nested(covers[slot - 1], move.number, number)
        ]
        for number in [move.number, *under] if move.action in (SLIDE, PICK_PLACE, CONTAIN) else []:
            told.setdefault(number, set()).update(range(move.start, move.end))
    changed_FxO = (np.diff(scene.motion.location_FxOx3, axis=0) != 0).any(-1)
    for frame, number in np.argwhere(changed_FxO).tolist():
        assert frame in told[number]


def test_all_kinds_of_moves_occur_and_cones_nest():
    actions, deepest = set(), 0
    for seed in range(12):
        scene = scenes.sample(5, seed)
        actions |= {move.action for move in scene.motion.moves}
        for cover in replay(scene):
            for number in range(len(cover)):
                depth, over = 0, cover[number]
                while over != -1:
                    depth, over = depth + 1, cover[over]
                deepest = max(deepest, depth)
    assert actions == {SLIDE, PICK_PLACE, ROTATE, CONTAIN, NO_OP}
    assert deepest >= 2


def test_a_cone_covers_only_what_it_hides_wholly():
    """By sampling: no point of a sphere on the ground is outside the cone."""
    bodies = moves.Bodies(
        radius_O=np.array([0.75, 0.5, 0.5, 0.3, 0.25, 0.45]),
        half_height_O=np.array([0.75, 0.5, 0.5, 0.3, 0.25, 0.45]),
        cone_O=np.array([True, True, False, False, False, False]),
        round_O=np.array([False, False, True, False, True, True]),
        coverable_O=np.ones(6, bool),
    )
    angles = np.linspace(0, np.pi, 1000)
    for cone in (0, 1):
        assert bodies.hides(cone, 1) == (cone == 0)
        for ball in range(2, 6):
            radius, large = bodies.radius_O[ball], bodies.radius_O[cone]
            height, out = radius * (1 + np.cos(angles)), radius * np.sin(angles)
            assert bodies.hides(cone, ball) == bool((out < (2 * large - height) / 2).all())
