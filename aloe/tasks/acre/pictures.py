"""Writes the panels of a problem as official files: a picture and a scene file for each."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from aloe.data.whole import write_whole
from aloe.perception.run_lengths import to_runs
from aloe.render import raycast
from aloe.tasks.acre import files
from aloe.tasks.acre.objects import Attributes
from aloe.tasks.acre.placing import CAMERA, MACHINE_RGB, Placed, solids, with_machine
from aloe.tasks.acre.problems import CONTEXT, PANELS, Problem

SMOOTHED = 240  # narrower pictures are drawn with four rays per pixel, as if downsampled from larger ones


def lights(problem: Problem) -> tuple[str, ...]:
    """The `light_state` of every panel."""
    return (*("on" if panel.lit else "off" for panel in problem.context), *["no"] * (PANELS - CONTEXT))


def draw(
    scene: raycast.Solids, width: int, height: int, frames_at_once: int | None = None
) -> tuple[jax.Array, jax.Array]:
    """The pictures, image_FxYxXx3 in uint8, and which object each pixel shows, index_FxYxX (−1 for none)."""
    view = CAMERA.resized(width, height)
    samples = 2 if width < SMOOTHED else 1
    image_FxYxXx3 = raycast.render(scene, view, samples=samples, frames_at_once=frames_at_once)
    return image_FxYxXx3, raycast.visible(scene, view, frames_at_once=frames_at_once)


def write(
    root: Path,
    problem: Problem,
    placed: Placed,
    attributes: tuple[Attributes, ...],
    size: tuple[int, int] | None,
    frames_at_once: int | None = None,
) -> None:
    """Writes the scene files of a problem, and then its pictures.

    Args:
      root: the regime's folder.
      problem: the problem.
      placed: its objects in every panel.
      attributes: the attributes of every id.
      size: width and height of the pictures; None writes no pictures, and scene files without masks.
      frames_at_once: see `raycast.render`.
    """
    scene = with_machine(solids(placed, attributes), lights(problem))
    image_FxYxXx3, index_FxYxX = map(np.asarray, draw(scene, *size, frames_at_once)) if size else (None, None)
    for panel in range(PANELS):
        told = describe(problem, placed, attributes, panel, None if index_FxYxX is None else index_FxYxX[panel])
        write_whole(files.scene_path(root, problem.scene_index, panel), json.dumps(told, separators=(",", ":")))
    for panel, image_YxXx3 in enumerate([] if image_FxYxXx3 is None else image_FxYxXx3):
        write_picture(files.picture_path(root, problem.scene_index, panel), image_YxXx3)


def write_picture(path: Path, image_YxXx3: np.ndarray) -> None:
    """Writes a picture as fully opaque RGBA."""
    opaque_YxX = np.full(image_YxXx3.shape[:2], 255, np.uint8)
    picture = Image.fromarray(np.dstack([image_YxXx3, opaque_YxX]))
    write_whole(path, lambda unfinished: picture.save(unfinished, "PNG"))


def describe(
    problem: Problem,
    placed: Placed,
    attributes: tuple[Attributes, ...],
    panel: int,
    index_YxX: np.ndarray | None,
) -> dict[str, Any]:
    """The content of one panel's scene file; without masks and boxes if no picture was drawn."""
    pictured = files.picture_path(Path(), problem.scene_index, panel).name
    light = lights(problem)[panel]
    rows, columns = (CAMERA.height, CAMERA.width) if index_YxX is None else index_YxX.shape
    pixels_Ox2, depth_O = CAMERA.resized(columns, rows).project(placed.location_FxOx3[panel])
    objects = []
    for each in problem.panels[panel]:
        place = placed.ids.index(each)
        shape, color, material = attributes[each]
        entry = {
            "shape": shape,
            "size": "medium",
            "material": material,
            "color": color,
            "3d_coords": placed.location_FxOx3[panel, place].tolist(),
            "rotation": float(np.degrees(placed.yaw_FxO[panel, place])),
            "pixel_coords": [*pixels_Ox2[place].tolist(), float(depth_O[place])],
        }
        objects.append(entry if index_YxX is None else entry | seen(index_YxX == place))
    told = {
        "split": pictured.split("_")[1],
        "image_filename": pictured,
        "camera": {"location": CAMERA.position_3.tolist()},
        "light_state": light,
        "objects": objects,
    }
    if index_YxX is not None and light in MACHINE_RGB:
        machine = len(placed.ids) + list(MACHINE_RGB).index(light)
        told |= {f"blicket_{name}": value for name, value in seen(index_YxX == machine).items()}
    return told


def seen(mask_YxX: np.ndarray) -> dict[str, Any]:
    """A mask's row-wise run lengths as text, and its bounding box: left, top, width, height; zeros if it is empty."""
    (rows,), (columns,) = (np.nonzero(mask_YxX.any(axis)) for axis in (1, 0))
    box = [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1] if len(rows) else [0, 0, 0, 0]
    return {"bbox": [int(each) for each in box], "mask": ",".join(map(str, to_runs(mask_YxX)))}
