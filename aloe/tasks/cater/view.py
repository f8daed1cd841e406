"""The cameras that filmed CATER: a static one, and one that moves around while looking at the centre."""

import numpy as np

from aloe.render.camera import Camera, looking_at

WIDTH, HEIGHT = 320, 240
MOVE = 30  # frames from one position of the moving camera to the next
_FOCAL = 350.0  # of both cameras, in pixels

# Rows that map a point (x, y, z, 1) to u, v and w: u / w and −v / w range from −1, left and top, to 1. Published with
# the dataset's tracker (baselines/tracking/proj_utils.py), without its row for the depth buffer.
_STATIC_3x4 = np.array(
    [
        (1.4503, 1.6376, 0.0, -0.0251),
        (-1.0346, 0.9163, 2.5685, 0.0095),
        (-0.6592, 0.5839, -0.4738, 10.7452),
    ]
)


def static_camera(width: int = WIDTH, height: int = HEIGHT) -> Camera:
    """The camera given by the published matrix, squeezed into a picture of this size."""
    rows_3x3 = _STATIC_3x4[:, :3] * np.array([[1], [-1], [1]])  # v counts downwards in pictures
    scale_3 = np.linalg.norm(rows_3x3, axis=1)
    camera = Camera(
        width=WIDTH,
        height=HEIGHT,
        position_3=-np.linalg.solve(_STATIC_3x4[:, :3], _STATIC_3x4[:, 3]),
        axes_3x3=rows_3x3 / scale_3[:, None],
        focal_2=scale_3[:2] / scale_3[2] * np.array([WIDTH, HEIGHT]) / 2,
        center_2=np.array([WIDTH, HEIGHT]) / 2,
    )
    return camera.resized(width, height)


def moving_cameras(position_Fx3: np.ndarray, width: int = WIDTH, height: int = HEIGHT) -> list[Camera]:
    """A view for each position of the moving camera."""
    return [
        looking_at(np.zeros(3), position_3, _FOCAL, WIDTH, HEIGHT).resized(width, height) for position_3 in position_Fx3
    ]


def draw_path(frames: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of the moving camera, position_Fx3: starts at the static one's, with a new target every 30 frames.

    A target has x or y at −10 or 10, the other anywhere between, and a height of 8, 10 or 12.
    """
    corners = [static_camera().position_3]
    while len(corners) * MOVE < frames + MOVE:
        place_3 = np.array([*rng.uniform(-10, 10, 2), rng.choice((8.0, 10.0, 12.0))])
        place_3[rng.integers(2)] = rng.choice((-10.0, 10.0))
        corners.append(place_3)
    times = np.arange(len(corners)) * MOVE
    return np.stack([np.interp(np.arange(frames), times, axis) for axis in np.array(corners).T], axis=1)
