"""What happens in a scene: an annotation in the official format, and what that has no place for, the truth.

The truth also lists what cannot be told by looking: the pairs for which a viewer could not say whether they collide.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from aloe.render import discs
from aloe.tasks.clevrer.appearance import HALF_SIZE, in_view
from aloe.tasks.clevrer.scenes import PHYSICS, QUIET_END, SEEN, Scene, shows

NEAR_MISS = 0.12  # gap below which two discs might look as if they touch


def describe(scene: Scene, motion: discs.Motion, scene_index: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The annotation in the official format, and the truth that it has no place for.

    The truth: `unseen`, the collisions after the video; `counterfactual`, those of the 7 s without each object in turn;
    and for each of them `unclear`, the pairs for which a viewer could not say whether they collide.
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
    # It is ambiguous whether a question about the video includes what happens after its end: such pairs are unclear.
    unclear = {(kept[one], kept[other]) for one, other in _near_misses(motion.location_FxOx2, motion.collisions)}
    unclear |= {
        collision.pair
        for collision, original in zip(collisions, motion.collisions, strict=True)
        if collision.frame >= QUIET_END[0] or not shows(original, motion)
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
