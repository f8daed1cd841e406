"""Our own videos: what objects there are, where they stand, how they move; and their scene files in official form."""

import dataclasses
from typing import Any

import numpy as np

from aloe.tasks.cater import annotations, files, moves, view
from aloe.tasks.cater.annotations import CONE, MATERIALS, SIZES, SNITCH, Annotation, ObjectProperty
from aloe.tasks.cater.moves import FRAMES, Bodies, Motion

FEWEST, MOST = 5, 10  # objects per video, including the snitch
REACH = 3.0
APART = 0.25  # minimum initial distance between the edges of two objects
_COLORS = annotations.COLORS[:-1]  # gold is the snitch's
_DIGITS = 4  # of lengths and angles; files and drawings use the same rounded values


@dataclasses.dataclass(frozen=True)
class Scene:
    """One video.

    Attributes:
      objects: the snitch first, then a medium and a large cone, then others.
      motion: of the objects.
      camera_Fx3: positions of the moving camera; None for the static one.
    """

    objects: tuple[ObjectProperty, ...]
    motion: Motion
    camera_Fx3: np.ndarray | None

    @property
    def annotation(self) -> Annotation:
        return Annotation(self.objects, 0, self.motion.location_FxOx3)


def sample(seed: int, scene_index: int, most: int = MOST, hidden: float | None = None) -> Scene:
    """Draws a video, a pure function of its arguments.

    Args:
      seed: the world's seed.
      scene_index: the video's, which also determines the camera.
      most: maximum number of objects.
      hidden: probability that the snitch is under a cone at the end: the outcome is drawn first, then videos until one
        has it. None takes the first video, whatever its outcome.
    """
    rng = np.random.default_rng((seed, scene_index))
    wanted = None if hidden is None else bool(rng.random() < hidden)
    while True:
        objects = draw_objects(int(rng.integers(FEWEST, most + 1)), rng)
        yaw_O = rng.uniform(0, 2 * np.pi, len(objects))
        motion = _rounded(moves.simulate(bodies(objects), _places(objects, rng), yaw_O, rng))
        camera_Fx3 = None
        if files.camera_of(scene_index) == "moving":
            camera_Fx3 = view.draw_path(FRAMES, rng).round(_DIGITS)
        scene = Scene(objects, motion, camera_Fx3)
        if wanted is None or is_hidden(scene.annotation) == wanted:
            return scene


def is_hidden(annotation: Annotation) -> bool:
    """Whether the snitch is under a cone in the last frame."""
    return bool(annotations.covered(annotation)[-1, annotation.snitch])


def draw_objects(number: int, rng: np.random.Generator) -> tuple[ObjectProperty, ...]:
    """A snitch, a medium and a large cone, and others whose attributes are all drawn uniformly."""

    def drawn(shape: str = "", size: str = "") -> ObjectProperty:
        return ObjectProperty(
            shape or str(rng.choice(annotations.SHAPES[:-1])),
            size or str(rng.choice(list(SIZES))),
            str(rng.choice(_COLORS)),
            str(rng.choice(MATERIALS)),
        )

    snitch = ObjectProperty(SNITCH, "small", "gold", "metal")
    return (snitch, drawn(CONE, "medium"), drawn(CONE, "large"), *(drawn() for _ in range(number - 3)))


def half_size(each: ObjectProperty) -> tuple[float, float, float]:
    """Half the extent along the object's own axes, in world units; a cube's corners lie on the circle of its radius."""
    half = each.radius / np.sqrt(2) if each.shape == "cube" else each.radius
    return half, half, half


def bodies(objects: tuple[ObjectProperty, ...]) -> Bodies:
    shape_O = np.array([each.shape for each in objects])
    return Bodies(
        radius_O=np.array([each.radius for each in objects]),
        half_height_O=np.array([half_size(each)[2] for each in objects]),
        cone_O=shape_O == CONE,
        round_O=shape_O == "sphere",
        coverable_O=np.isin(shape_O, (CONE, "sphere", SNITCH)),
    )


def _places(objects: tuple[ObjectProperty, ...], rng: np.random.Generator) -> np.ndarray:
    """Separate positions [O, 2] on the table: each is the first free one of 50 draws; if none is, all are redrawn."""
    radius_O = np.array([each.radius for each in objects])
    while True:
        location_Ox2 = np.empty((0, 2))
        for number, radius in enumerate(radius_O):
            tried_Tx2 = rng.uniform(-REACH, REACH, (50, 2))
            away_TxO = np.linalg.norm(tried_Tx2[:, None] - location_Ox2, axis=-1)
            free_T = (away_TxO >= radius + radius_O[:number] + APART).all(1)
            if not free_T.any():
                break
            location_Ox2 = np.vstack([location_Ox2, tried_Tx2[free_T.argmax()]])
        else:
            return location_Ox2


def _rounded(motion: Motion) -> Motion:
    return dataclasses.replace(
        motion, location_FxOx3=motion.location_FxOx3.round(_DIGITS), yaw_FxO=motion.yaw_FxO.round(_DIGITS)
    )


def describe(scene: Scene, scene_index: int) -> dict[str, Any]:
    """The content of a video's scene file. Only ours have objects' `turns` and, for a moving camera, `camera`."""
    cameras = [view.static_camera()] if scene.camera_Fx3 is None else view.moving_cameras(scene.camera_Fx3[:1])
    right_3, _, forward_3 = cameras[0].axes_3x3
    pixels_Ox2, depth_O = cameras[0].project(scene.motion.location_FxOx3[0])
    names = [f"{each.shape.capitalize()}_{number}" for number, each in enumerate(scene.objects)]
    objects = [
        {
            "shape": each.shape,
            "size": each.size,
            "sized": each.radius,
            "material": each.material,
            "color": each.color,
            "instance": names[number],
            "3d_coords": scene.motion.location_FxOx3[0, number].tolist(),
            "rotation": float(np.degrees(scene.motion.yaw_FxO[0, number]).round(_DIGITS)),
            "pixel_coords": [*pixels_Ox2[number].round(_DIGITS).tolist(), round(float(depth_O[number]), _DIGITS)],
            "locations": dict(enumerate(scene.motion.location_FxOx3[:, number].tolist())),
            "turns": scene.motion.yaw_FxO[:, number].tolist(),
        }
        for number, each in enumerate(scene.objects)
    ]
    movements: dict[str, list[list[Any]]] = {name: [] for name in names}
    for move in scene.motion.moves:
        other = None if move.other is None else names[move.other]
        movements[names[move.number]].append([move.action, other, move.start, move.end])
    behind_3 = forward_3 * (1, 1, 0) / np.linalg.norm(forward_3[:2])
    directions = {"right": right_3, "left": -right_3, "behind": behind_3, "front": -behind_3, "above": np.eye(3)[2]}
    told = {
        "split": "new",
        "image_index": scene_index % files.first_index("moving"),
        "image_filename": files.video_name(scene_index),
        "objects": objects,
        "directions": {name: each.tolist() for name, each in (directions | {"below": -directions["above"]}).items()},
        "movements": movements,
    }
    return told if scene.camera_Fx3 is None else told | {"camera": scene.camera_Fx3.tolist()}
