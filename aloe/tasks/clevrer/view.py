"""The camera that filmed CLEVRER."""

import numpy as np

from aloe.render.camera import Camera


def clevrer_camera(width: int = 480, height: int = 320) -> Camera:
    """CLEVRER's fixed camera: 2.5 above the ground, pitched down by 30°, x towards the viewer and y to the right.

    Fitted by VRDP (dingmyu/VRDP) as u = (−207.846x + 525y − 120z + 1200) / w, v = (123.936x − 534.663z + 800) / w with
    w = −0.866x − 0.5z + 5, at 480 × 320.
    """
    cos, sin = np.cos(np.pi / 6), np.sin(np.pi / 6)
    forward_3 = np.array([-cos, 0.0, -sin])
    camera = Camera(
        width=480,
        height=320,
        position_3=np.array([(5 - 2.5 * sin) / cos, 0.0, 2.5]),
        axes_3x3=np.stack([np.array([0.0, 1.0, 0.0]), np.array([sin, 0.0, -cos]), forward_3]),
        focal_2=np.array([525.0, 525.0]),
        center_2=np.array([240.0, 160.0]),
    )
    return camera.resized(width, height)
