"""Draws a CLEVRER scene and tells all that happens in it: in the video, after it, and without each object.

Objects rest in view, move in view from the first frame, or wait out of view until they are pushed in. Each mover is
aimed at something, and kept only if what then happens is clear to see: so every answer can be found by looking. A scene
is a pure function of (seed, scene_index). World units, units a second, radians.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from aloe.render import camera, discs, raycast
from aloe.tasks.clevrer.annotations import COLORS, MATERIALS, SHAPES

SEEN = 128  # frames of the video
FRAMES = 175  # 7 s at 25 frames a second; the rest is what happens next
PHYSICS = discs.Physics()
VIEW = camera.clevrer()

# A cube's side is a compromise: the disc that moves it lies between the circles in and around its square.
HALF_SIZE = {"cube": (0.16, 0.16, 0.16), "sphere": (0.2, 0.2, 0.2), "cylinder": (0.2, 0.2, 0.2)}
SOLID = {"cube": raycast.BOX, "sphere": raycast.SPHERE, "cylinder": raycast.CYLINDER}
RGB = {
    "gray": (0.34, 0.34, 0.34),
    "red": (0.68, 0.14, 0.14),
    "blue": (0.16, 0.29, 0.84),
    "green": (0.11, 0.41, 0.08),
    "brown": (0.51, 0.29, 0.10),
    "purple": (0.51, 0.15, 0.75),
    "cyan": (0.16, 0.82, 0.82),
    "yellow": (1.0, 0.93, 0.20),
}

FARTHEST = -3.0  # x beyond which objects look too small; the picture's top is at −5.6
# Nothing happens in these frames: whether it is still at the start, already at the end, would be hard to tell.
QUIET_START, QUIET_END = 5, (SEEN - 5, SEEN + 4)
APART = 3  # frames between two events whose order counts
SLOWEST_HIT = 0.2  # approach of a collision that shows
NEAR_MISS = 0.12  # gap between two discs that might look like a touch
SHORTEST_VIEW = 25  # frames of the video in which every object is well in view, its centre too
LONGEST_EDGE = 40  # frames in which some of it is in view, but not its centre


@dataclasses.dataclass(frozen=True)
class Scene:
    """How a video begins; all else follows by physics.

    Attributes:
      attributes: (color, material, shape) of each object, no two alike.
      location_Ox2, angle_O: at frame 0.
      velocity_Ox2, start_O: the push that each object gets, and the frame of it; zero for those that rest.
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


def sample(seed: int, scene_index: int) -> tuple[Scene, discs.Motion]:
    """Draws until a scene is good; the same scene for the same seed and index."""
    rng = np.random.default_rng((seed, scene_index))
    objects = int(rng.choice([3, 4, 5, 6], p=[0.1, 0.3, 0.3, 0.3]))  # fixed first: a crowded scene fails more often
    while True:
        drawn = _draw(rng, objects)
        if drawn and any(collision.frame < SEEN for collision in drawn[1].collisions):
            return drawn


def _draw(rng: np.random.Generator, objects: int) -> tuple[Scene, discs.Motion] | None:
    kinds = list(itertools.product(COLORS, MATERIALS, SHAPES))
    chosen = [kinds[index] for index in rng.permutation(len(kinds))[:objects]]
    resting = int(rng.integers(1, objects // 2 + 1))
    scene = Scene((), np.zeros((0, 2)), np.zeros(0), np.zeros((0, 2)), np.zeros(0, int))
    for kind in chosen[:resting]:
        place = next((p for p in (_place(rng) for _ in range(20)) if _gap(scene.location_Ox2, p) > 0.3), None)
        if place is None:
            return None
        scene = scene.joined(place, rng.uniform(0, math.pi), np.zeros(2), 0, kind)
    motion = scene.simulate()
    for kind in chosen[resting:]:
        for _ in range(20):
            # The last one is often aimed to hit after the video: something to predict.
            late = rng.random() < (0.9 if kind == chosen[-1] else 0.1)
            push = _aim(rng, scene, motion, kind, late)
            if push is None:
                continue
            wider = scene.joined(*push, kind)
            happens = wider.simulate()
            if clear(wider, happens):
                scene, motion = wider, happens
                break
        else:
            return None
    return scene, motion


def _place(rng: np.random.Generator) -> np.ndarray:
    """A place for a disc, anywhere well inside the picture."""
    ray_3 = VIEW.ray(rng.uniform((0.12, 0.2), (0.88, 0.78)) * (VIEW.width, VIEW.height))
    return (VIEW.position_3 + (PHYSICS.radius - VIEW.position_3[2]) / ray_3[2] * ray_3)[:2]


def _gap(location_Ox2: np.ndarray, point_2: np.ndarray) -> float:
    """Between a disc at the point and the nearest other."""
    return float(np.linalg.norm(location_Ox2 - point_2, axis=-1).min(initial=np.inf)) - 2 * PHYSICS.radius


def _aim(
    rng: np.random.Generator, scene: Scene, motion: discs.Motion, kind: tuple[str, str, str], late: bool
) -> tuple[np.ndarray, float, np.ndarray, int] | None:
    """A push that would bring a new object to a target at some frame: place, angle, velocity, start; or None.

    Sliding slows by v' = −a − c·v; so, going back by τ from the speed v at the target,
    speed (v + a/c)·exp(cτ) − a/c and distance (v + a/c)·(exp(cτ) − 1)/c − aτ/c.
    """
    frame = int(rng.integers(SEEN + 6, FRAMES) if late else rng.integers(15, SEEN - 5))
    if rng.random() < 0.9:
        # What moves is the better target: its meeting would not be the same without what set it in motion.
        moving = np.flatnonzero(np.linalg.norm(motion.velocity_FxOx2[frame], axis=-1) > SLOWEST_HIT)
        any_of = moving if moving.size and rng.random() < 0.75 else np.arange(len(scene.attributes))
        target_2 = motion.location_FxOx2[frame, rng.choice(any_of)]
        contact = 2 * PHYSICS.radius
    else:
        target_2, contact = _place(rng), 0.0
    if not _centered(target_2):
        return None
    angle = rng.uniform(-math.pi, math.pi)
    ahead_2 = np.array([math.cos(angle), math.sin(angle)])
    aside_2 = np.array([-ahead_2[1], ahead_2[0]]) * rng.uniform(-0.6, 0.6) * contact
    speed = rng.uniform(0.4, 1.8)
    c, a = -math.log(1 - PHYSICS.damping), PHYSICS.deceleration
    back_F = np.arange(1, frame + 1) / PHYSICS.frame_rate
    grown_F = (speed + a / c) * np.exp(c * back_F)
    distance_F = contact + (grown_F - speed - a / c) / c - a / c * back_F
    place_Fx2 = target_2 + aside_2 - distance_F[:, None] * ahead_2
    if rng.random() < 0.5:
        taken = frame - 1
        if not _centered(place_Fx2[-1], margin=40) or _gap(scene.location_Ox2, place_Fx2[-1]) < 0.1:
            return None
    else:
        # So far out that its shadow is out of view too.
        outside_F = ~in_view((place_Fx2 + 0.35 * ahead_2)[:, None], (kind,))[:, 0]
        taken = int(outside_F.argmax())
        if not outside_F[taken]:
            return None
    start = frame - taken - 1
    if place_Fx2[taken, 0] < FARTHEST or start > SEEN - SHORTEST_VIEW:
        return None
    push_2 = (grown_F[taken] - a / c) * ahead_2
    return place_Fx2[taken], rng.uniform(0, math.pi), push_2, start


def clear(scene: Scene, motion: discs.Motion) -> bool:
    """Whether everything that happens can be seen and told apart, and no pair meets twice."""
    collisions = motion.collisions
    if len({collision.pair for collision in collisions}) < len(collisions):
        return False
    if not all(_shows(collision, motion) for collision in collisions):
        return False
    visible_FxO, centered_FxO = in_view(motion.location_FxOx2, scene.attributes), _centered(motion.location_FxOx2)
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


def _shows(collision: discs.Collision, motion: discs.Motion) -> bool:
    """Whether a collision can be seen: in the picture, not too far away, not too soft."""
    in_picture = _centered(motion.location_FxOx2[collision.frame, list(collision.pair)]).all()
    return bool(in_picture and collision.speed > SLOWEST_HIT)


def _centered(location: np.ndarray, margin: float = 0) -> np.ndarray:
    """Whether centres [..., 2] are `margin` pixels inside the picture, and not so far away that things look small."""
    height = np.full((*location.shape[:-1], 1), PHYSICS.radius)
    pixels, depth = VIEW.project(np.concatenate([location, height], -1))
    inside = (pixels > margin) & (pixels < np.array([VIEW.width, VIEW.height]) - margin)
    return inside.all(-1) & (depth > 0) & (location[..., 0] > FARTHEST)


def in_view(location_FxOx2: np.ndarray, attributes: tuple[tuple[str, str, str], ...]) -> np.ndarray:
    """Whether some part of an object can be in the picture: visible_FxO. Judged by hulls with little to spare."""
    height_O = np.array([HALF_SIZE[shape][2] for _, _, shape in attributes])
    location_FxOx3 = np.append(
        location_FxOx2, np.broadcast_to(height_O[:, None], (*location_FxOx2.shape[:2], 1)), axis=-1
    )
    pixels, depth = VIEW.project(location_FxOx3)
    size_2 = (VIEW.width, VIEW.height)
    visible_FxO = ((pixels > 0) & (pixels < size_2)).all(-1) & (depth > 0)
    for index, (_, _, shape) in enumerate(attributes):
        unsure_F = ~visible_FxO[:, index] & (depth[:, index] > 0.5)
        hull_pixels, _ = VIEW.project(location_FxOx3[unsure_F, index, None] + _hull(shape))
        inside_F = (hull_pixels.max(1) > 0) & (hull_pixels.min(1) < size_2)
        visible_FxO[unsure_F, index] = inside_F.all(-1)
    return visible_FxO


@functools.cache
def _hull(shape: str) -> np.ndarray:
    """Points about an object's centre whose convex hull holds it, whatever its turn."""
    sides = 16
    angle = np.arange(sides) * 2 * np.pi / sides
    around = np.stack([np.cos(angle), np.sin(angle)], -1) / np.cos(np.pi / sides)
    half_x, half_y, half_z = HALF_SIZE[shape]
    if shape == "sphere":
        tilt = (np.arange(8) + 0.5) * np.pi / 8 - np.pi / 2
        rings = [np.column_stack([around * np.cos(t), np.full(sides, np.sin(t))]) for t in tilt]
        return half_x * np.concatenate(rings) / np.cos(np.pi / 16)
    radius = half_x if shape == "cylinder" else math.hypot(half_x, half_y)
    return np.concatenate([np.column_stack([radius * around, np.full(sides, z)]) for z in (-half_z, half_z)])


def describe(scene: Scene, motion: discs.Motion, scene_index: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The annotation in the official format, and the truth that it has no place for.

    The truth: `unseen`, the collisions after the video; `counterfactual`, those of the 7 s without each object in turn;
    and beside each of them `unclear`, the pairs of which a viewer could not say whether they collide.
    """
    visible_FxO = in_view(motion.location_FxOx2, scene.attributes)
    annotation = {
        "scene_index": scene_index,
        "video_filename": f"video_{scene_index:05d}.mp4",
        "object_property": [
            {"object_id": index, "color": color, "material": material, "shape": shape}
            for index, (color, material, shape) in enumerate(scene.attributes)
        ],
        "motion_trajectory": [
            {"frame_id": frame, "objects": list(_states(scene, motion, visible_FxO, frame))} for frame in range(SEEN)
        ],
        "collision": [_entry(collision) for collision in motion.collisions if collision.frame < SEEN],
    }
    gone_O = ~visible_FxO[SEEN - 1]
    late = [collision for collision in motion.collisions if collision.frame >= SEEN]
    unclear = _near_misses(motion.location_FxOx2[SEEN:], late) | {
        pair for pair in itertools.combinations(range(len(scene.attributes)), 2) if gone_O[list(pair)].any()
    }
    truth = {
        "scene_index": scene_index,
        "unseen": {"collision": [_entry(collision) for collision in late], "unclear": sorted(unclear)},
        "counterfactual": [_counterfactual(scene, index) for index in range(len(scene.attributes))],
    }
    return annotation, truth


def _counterfactual(scene: Scene, removed: int) -> dict[str, Any]:
    rest = scene.without(removed)
    motion = rest.simulate()
    kept = [index for index in range(len(scene.attributes)) if index != removed]
    collisions = [
        dataclasses.replace(collision, pair=(kept[collision.pair[0]], kept[collision.pair[1]]))
        for collision in motion.collisions
    ]
    # Whether a question about the video means what happens after its end is not agreed upon: such pairs are unclear.
    unclear = {(kept[one], kept[other]) for one, other in _near_misses(motion.location_FxOx2, motion.collisions)}
    unclear |= {
        collision.pair
        for collision, original in zip(collisions, motion.collisions, strict=True)
        if collision.frame >= QUIET_END[0] or not _shows(original, motion)
    }
    return {"removed": removed, "collision": [_entry(each) for each in collisions], "unclear": sorted(unclear)}


def _near_misses(location_FxOx2: np.ndarray, collisions: list | tuple) -> set[tuple[int, int]]:
    collide = {collision.pair for collision in collisions}
    return {
        pair
        for pair in itertools.combinations(range(location_FxOx2.shape[1]), 2)
        if pair not in collide
        and np.linalg.norm(location_FxOx2[:, pair[0]] - location_FxOx2[:, pair[1]], axis=-1).min()
        < 2 * PHYSICS.radius + NEAR_MISS
    }


def _states(scene: Scene, motion: discs.Motion, visible_FxO: np.ndarray, frame: int) -> Iterator[dict[str, Any]]:
    for index, (_, _, shape) in enumerate(scene.attributes):
        x, y = motion.location_FxOx2[frame, index].round(4).tolist()
        vx, vy = motion.velocity_FxOx2[frame, index].round(4).tolist()
        yield {
            "object_id": index,
            "location": [x, y, HALF_SIZE[shape][2]],
            "orientation": [0.0, 0.0, round(float(motion.angle_FxO[frame, index]), 4)],
            "velocity": [vx, vy, 0.0],
            "angular_velocity": [0.0, 0.0, round(float(motion.spin_FxO[frame, index]), 4)],
            "inside_camera_view": bool(visible_FxO[frame, index]),
        }


def _entry(collision: discs.Collision) -> dict[str, Any]:
    x, y = collision.location_2
    return {
        "object_ids": list(collision.pair),
        "frame_id": collision.frame,
        "location": [round(x, 4), round(y, 4), PHYSICS.radius],
    }


def solids(scene: Scene, motion: discs.Motion) -> raycast.Solids:
    """The video's frames for the ray-caster."""
    half_size_Ox3 = np.array([HALF_SIZE[shape] for _, _, shape in scene.attributes])
    location_FxOx2 = motion.location_FxOx2[:SEEN]
    height_FxOx1 = np.broadcast_to(half_size_Ox3[:, 2:], (*location_FxOx2.shape[:2], 1))
    return raycast.Solids(
        shape_O=np.array([SOLID[shape] for _, _, shape in scene.attributes]),
        half_size_Ox3=half_size_Ox3,
        color_Ox3=np.array([RGB[color] for color, _, _ in scene.attributes]),
        metal_O=np.array([float(material == "metal") for _, material, _ in scene.attributes]),
        location_FxOx3=np.concatenate([location_FxOx2, height_FxOx1], -1),
        yaw_FxO=motion.angle_FxO[:SEEN],
    )
