"""Videos of scenes, drawn by the ray-caster and written like the dataset's: MJPEG in an AVI, 24 frames per second."""

from collections.abc import Sequence
from pathlib import Path

import av
import jax
import numpy as np

from aloe.data.whole import write_whole
from aloe.render import raycast
from aloe.render.camera import Camera
from aloe.render.palette import RGB, SOLID
from aloe.tasks.cater import view
from aloe.tasks.cater.annotations import SNITCH, ObjectProperty
from aloe.tasks.cater.scenes import half_size

FRAME_RATE = 24
SMOOTHED = 240  # narrower pictures are drawn with four rays per pixel, as if downsampled from larger ones
FRAMES_AT_ONCE = 32  # on a GPU; drawing a whole video at once gains little more

# The official snitch is a tangle of three tori; ours is a sphere, and the only gold object.
_SOLID = SOLID | {SNITCH: raycast.SPHERE}
_RGB = RGB | {"gold": (0.95, 0.70, 0.15)}


def solids(objects: Sequence[ObjectProperty], location_FxOx3: np.ndarray, yaw_FxO: np.ndarray) -> raycast.Solids:
    """The objects as input to the ray-caster."""
    return raycast.Solids(
        shape_O=np.array([_SOLID[each.shape] for each in objects]),
        half_size_Ox3=np.array([half_size(each) for each in objects]),
        color_Ox3=np.array([_RGB[each.color] for each in objects]),
        metal_O=np.array([float(each.material == "metal") for each in objects]),
        location_FxOx3=location_FxOx3,
        yaw_FxO=yaw_FxO,
    )


def views(camera_Fx3: np.ndarray | None, width: int, height: int) -> Camera | list[Camera]:
    """One view for all frames, or one for each position of the moving camera."""
    if camera_Fx3 is None:
        return view.static_camera(width, height)
    return view.moving_cameras(camera_Fx3, width, height)


def draw(
    scene: raycast.Solids, camera_Fx3: np.ndarray | None, width: int, height: int, *, gpu: bool = False
) -> np.ndarray:
    """The frames of a scene, image_FxYxXx3 in uint8."""
    samples = 2 if width < SMOOTHED else 1
    at_once = FRAMES_AT_ONCE if gpu else None
    seen: jax.Array = raycast.render(scene, views(camera_Fx3, width, height), samples=samples, frames_at_once=at_once)
    return np.asarray(seen)


def write(image_FxYxXx3: np.ndarray, file: Path) -> None:
    """Writes frames as a video, atomically."""
    write_whole(file, lambda unfinished: _encode(image_FxYxXx3, unfinished))


def _encode(image_FxYxXx3: np.ndarray, file: Path) -> None:
    with av.open(str(file), "w", format="avi") as container:
        stream = container.add_stream("mjpeg", rate=FRAME_RATE, options={"qmin": "2", "qmax": "2"})
        stream.height, stream.width = image_FxYxXx3.shape[1:3]
        stream.pix_fmt = "yuvj420p"
        stream.thread_count = 1
        for image_YxXx3 in image_FxYxXx3:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image_YxXx3, format="rgb24")))
        container.mux(stream.encode())
