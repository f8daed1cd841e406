"""Images of scenes, rendered by the ray-caster and written like the dataset's: RGBA, fully opaque."""

from pathlib import Path

import numpy as np
from PIL import Image

from aloe.data.whole import write_whole
from aloe.render import raycast
from aloe.tasks.clevr import placing

SMOOTHED = 240  # narrower pictures are rendered with four rays per pixel, as if scaled down from larger ones


def draw(solids: raycast.Solids, position_3: np.ndarray, width: int, height: int) -> np.ndarray:
    """Renders a scene as seen by a camera at this position: image_YxXx3 in uint8."""
    samples = 2 if width < SMOOTHED else 1
    return np.asarray(raycast.render(solids, placing.view(position_3, width, height), samples=samples))[0]


def write(path: Path, image_YxXx3: np.ndarray) -> None:
    """Writes a picture atomically."""
    opaque_YxX = np.full(image_YxXx3.shape[:2], 255, np.uint8)
    picture = Image.fromarray(np.dstack([image_YxXx3, opaque_YxX]))
    write_whole(path, lambda unfinished: picture.save(unfinished, "PNG"))
