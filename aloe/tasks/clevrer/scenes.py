"""Samples a CLEVRER scene and simulates it.

Objects rest in view, move in view from the first frame, or wait out of view until they are pushed in. Each moving
object is aimed at something, and kept only if what then happens is clearly visible, so that every answer can be found
by looking. A scene is a pure function of (seed, scene_index). World units, units per second, radians.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable

import numpy as np

from aloe.render import discs
from aloe.tasks.clevrer.annotations import COLORS, MATERIALS, SHAPES
from aloe.tasks.clevrer.appearance import FARTHEST, RADIUS, VIEW, centered, in_view

SEEN = 128  # frames of the video
FRAMES = 175  # 7 s at 25 frames per second; those after the video are what happens next
PHYSICS = discs.Physics(radius=RADIUS)

# No event falls in these frames: on which side of the video's start or end it lies would be hard to tell.
QUIET_START, QUIET_END = 5, (SEEN - 5, SEEN + 4)
APART = 6  # minimum frames between two events whose order matters; with every fifth frame sampled, one lies between
SLOWEST_HIT = 0.2  # minimum approach speed of a visible collision
SHORTEST_VIEW = 25  # minimum frames of the video in which an object is well in view, including its centre
LONGEST_EDGE = 40  # maximum frames in which part of it is in view, but not its centre
EXITS, LATE = 0.4, 0.7  # how often the first push must cause an exit, the last one a collision to predict


@dataclasses.dataclass(frozen=True)
class Scene:
    """The initial conditions of a video; everything else follows from physics.

    Attributes:
      attributes: (color, material, shape) of each object, no two alike.
      location_Ox2, angle_O: at frame 0.
      velocity_Ox2, start_O: the push that each object gets, and its frame; zero for those at rest.
    """

    attributes: tuple[tuple[str, str, str], ...]
    location_Ox2: np.ndarray
    angle_O: np.ndarray
    velocity_Ox2: np.ndarray
    start_O: np.ndarray

    def simulate(self) -> discs.Motion:
        return discs.simulate(self.location_Ox2, self.velocity_Ox2, self.angle_O, self.start_O, FRAMES, PHYSICS)

    def without(self, index: int) -> "Scene":
        keep_O = np.arange(len(self.attributes)) != index
        return Scene(
            tuple(itertools.compress(self.attributes, keep_O)),
            *(array[keep_O] for array in (self.location_Ox2, self.angle_O, self.velocity_Ox2, self.start_O)),
        )

    def joined(self, location_2: np.ndarray, angle: float, velocity_2: np.ndarray, start: int, kind: tuple) -> "Scene":
        return Scene(
            (*self.attributes, kind),
            np.vstack([self.location_Ox2, location_2]),
            np.append(self.angle_O, angle),
            np.vstack([self.velocity_Ox2, velocity_2]),
            np.append(self.start_O, start),
        )


Goal = Callable[[Scene, discs.Motion], bool]  # what a push must bring about


def sample(seed: int, scene_index: int) -> tuple[Scene, discs.Motion]:
    """Samples until a scene is acceptable; the same seed and index give the same scene."""
    rng = np.random.default_rng((seed, scene_index))
    # Fixed first, because crowded scenes and those with an exit or something to predict are rejected more often.
    objects = int(rng.choice([3, 4, 5, 6], p=[0.1, 0.3, 0.3, 0.3]))
    exits, late = rng.random(2) < (EXITS, LATE)
    while True:
        drawn = _draw(rng, objects, bool(exits), bool(late))
        if drawn and any(collision.frame < SEEN for collision in drawn[1].collisions):
            return drawn


def _draw(rng: np.random.Generator, objects: int, exits: bool, late: bool) -> tuple[Scene, discs.Motion] | None:
    # Few colours per scene, so that it often takes two words to identify an object.
    palette = rng.choice(COLORS, objects // 2 + 1, replace=False).tolist()
    kinds = list(itertools.product(palette, MATERIALS, SHAPES))
    chosen = [kinds[index] for index in rng.permutation(len(kinds))[:objects]]
    resting = int(rng.integers(1, objects // 2 + 1))
    scene = Scene((), np.zeros((0, 2)), np.zeros(0), np.zeros((0, 2)), np.zeros(0, int))
    for kind in chosen[:resting]:
        place = next((p for p in (_place(rng) for _ in range(20)) if _gap(scene.location_Ox2, p) > 0.3), None)
        if place is None:
            return None
        scene = scene.joined(place, rng.uniform(0, math.pi), np.zeros(2), 0, kind)
    motion = scene.simulate()
    goals = [_something] * (objects - resting)
    goals[0] = _an_exit if exits else _something
    goals[-1] = _a_late_collision if late else _something
    for kind, goal in zip(chosen[resting:], goals, strict=True):
        for _ in range(20):
            push = _aim(rng, scene, motion, kind, goal)
            if push is None:
                continue
            wider = scene.joined(*push, kind)
            happens = wider.simulate()
            if goal(wider, happens) and clear(wider, happens):
                scene, motion = wider, happens
                break
        else:
            return None
    return scene, motion


def _something(scene: Scene, motion: discs.Motion) -> bool:
    return True


def _an_exit(scene: Scene, motion: discs.Motion) -> bool:
    visible_FxO = in_view(motion.location_FxOx2[:SEEN], scene.attributes)
    return bool((visible_FxO[:-1] & ~visible_FxO[1:]).any())


def _a_late_collision(scene: Scene, motion: discs.Motion) -> bool:
    return any(collision.frame >= SEEN for collision in motion.collisions)


def _place(rng: np.random.Generator) -> np.ndarray:
    """A random place for a disc, well inside the picture."""
    ray_3 = VIEW.ray(rng.uniform((0.12, 0.2), (0.88, 0.78)) * (VIEW.width, VIEW.height))
    return (VIEW.position_3 + (RADIUS - VIEW.position_3[2]) / ray_3[2] * ray_3)[:2]


def _gap(location_Ox2: np.ndarray, point_2: np.ndarray) -> float:
    """Gap between a disc at the point and the nearest other one."""
    return float(np.linalg.norm(location_Ox2 - point_2, axis=-1).min(initial=np.inf)) - 2 * RADIUS


def _aim(
    rng: np.random.Generator, scene: Scene, motion: discs.Motion, kind: tuple[str, str, str], goal: Goal
) -> tuple[np.ndarray, float, np.ndarray, int] | None:
    """A push that would bring a new object to a target at some frame: place, angle, velocity, start; or None.

    Sliding decelerates by v' = −a − c·v; so, at time τ before reaching the target with speed v,
    the speed is (v + a/c)·exp(cτ) − a/c and the distance (v + a/c)·(exp(cτ) − 1)/c − aτ/c.
    """
    frame = int(rng.integers(SEEN + 6, FRAMES) if goal is _a_late_collision else rng.integers(15, SEEN - 5))
    if rng.random() < 0.9:
        # Moving targets are better: the collision then depends on whatever set them in motion.
        moving = np.flatnonzero(np.linalg.norm(motion.velocity_FxOx2[frame], axis=-1) > SLOWEST_HIT)
        any_of = moving if moving.size and rng.random() < 0.75 else np.arange(len(scene.attributes))
        target_2 = motion.location_FxOx2[frame, rng.choice(any_of)]
        contact = 2 * RADIUS
    else:
        target_2, contact = _place(rng), 0.0
    if not centered(target_2):
        return None
    angle = rng.uniform(-math.pi, math.pi)
    ahead_2 = np.array([math.cos(angle), math.sin(angle)])
    aside_2 = np.array([-ahead_2[1], ahead_2[0]]) * rng.uniform(-0.6, 0.6) * contact
    speed = rng.uniform(*((1.2, 3.2) if goal is _an_exit else (0.4, 2.4)))  # at the target
    c, a = -math.log(1 - PHYSICS.damping), PHYSICS.deceleration
    back_F = np.arange(1, frame + 1) / PHYSICS.frame_rate
    grown_F = (speed + a / c) * np.exp(c * back_F)
    distance_F = contact + (grown_F - speed - a / c) / c - a / c * back_F
    place_Fx2 = target_2 + aside_2 - distance_F[:, None] * ahead_2
    if rng.random() < 0.5:
        taken = frame - 1
        if not centered(place_Fx2[-1], margin=40) or _gap(scene.location_Ox2, place_Fx2[-1]) < 0.1:
            return None
    else:
        # Far enough back that its shadow is out of view too; if even the farthest place is not, give up.
        back_Fx1x2 = (place_Fx2 + 0.35 * ahead_2)[:, None]
        if in_view(back_Fx1x2[-1:], (kind,)).all():
            return None
        taken = int(in_view(back_Fx1x2, (kind,))[:, 0].argmin())
    start = frame - taken - 1
    if place_Fx2[taken, 0] < FARTHEST or start > SEEN - SHORTEST_VIEW:
        return None
    push_2 = (grown_F[taken] - a / c) * ahead_2
    return place_Fx2[taken], rng.uniform(0, math.pi), push_2, start


def clear(scene: Scene, motion: discs.Motion) -> bool:
    """Whether all events can be seen and told apart, and no pair collides twice."""
    collisions = motion.collisions
    if len({collision.pair for collision in collisions}) < len(collisions):
        return False
    if not all(shows(collision, motion) for collision in collisions):
        return False
    visible_FxO, centered_FxO = in_view(motion.location_FxOx2, scene.attributes), centered(motion.location_FxOx2)
    if (centered_FxO[:SEEN].sum(0) < SHORTEST_VIEW).any() or (visible_FxO & ~centered_FxO).sum(0).max() > LONGEST_EDGE:
        return False
    change_FxO = np.diff(visible_FxO.astype(int), axis=0)
    if ((change_FxO > 0).sum(0) > 1).any() or ((change_FxO < 0).sum(0) > 1).any():
        return False
    events = [("collision", collision.frame, set(collision.pair)) for collision in collisions]
    for kind, sign in (("in", 1), ("out", -1)):
        events += [(kind, frame + 1, {index}) for frame, index in np.argwhere(change_FxO == sign).tolist()]
    if any(frame < QUIET_START or QUIET_END[0] <= frame < QUIET_END[1] for _, frame, _ in events):
        return False
    return all(
        abs(frame - other_frame) >= APART or (kind != other_kind and not objects & other_objects)
        for (kind, frame, objects), (other_kind, other_frame, other_objects) in itertools.combinations(events, 2)
    )


def shows(collision: discs.Collision, motion: discs.Motion) -> bool:
    """Whether a collision can be seen: in the picture, not too far away, not too soft."""
    in_picture = centered(motion.location_FxOx2[collision.frame, list(collision.pair)]).all()
    return bool(in_picture and collision.speed > SLOWEST_HIT)
