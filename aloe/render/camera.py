"""A pinhole camera.

World axes: z up, the ground is z = 0. Pixels: u to the right, v down, in units of a pixel, (0, 0) at the outer corner
of the first pixel, so that pixel (row y, column x) has its centre at (x + ½, y + ½).
"""

import dataclasses
import functools

import jax
import numpy as np


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["position_3", "axes_3x3", "focal_2", "center_2"],
    meta_fields=["width", "height"],
)
@dataclasses.dataclass(frozen=True)
class Camera:
    """A pinhole camera, a JAX pytree of its arrays, so that it can be an argument of a compiled function.

    Attributes:
      width, height: size of the picture in pixels.
      position_3: the pinhole, in world units.
      axes_3x3: unit vectors to the right, down and forward, as rows, in world coordinates.
      focal_2: focal length along u and v, in pixels; they differ if a picture is squeezed.
      center_2: the pixel coordinates of the view straight ahead.
    """

    width: int
    height: int
    position_3: np.ndarray
    axes_3x3: np.ndarray
    focal_2: np.ndarray
    center_2: np.ndarray

    def resized(self, width: int, height: int) -> "Camera":
        """The same view in `width` × `height` pixels, squeezed if the aspect differs."""
        scale_2 = np.array([width / self.width, height / self.height])
        return dataclasses.replace(
            self, width=width, height=height, focal_2=self.focal_2 * scale_2, center_2=self.center_2 * scale_2
        )

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points [..., 3] → pixels (u, v) [..., 2] and depth along the viewing direction [...], in world units.

        The pixel of a point at or behind the pinhole (depth ≤ 0) is meaningless.
        """
        right_down_depth = (points - self.position_3) @ self.axes_3x3.T
        depth = right_down_depth[..., 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = self.center_2 + self.focal_2 * right_down_depth[..., :2] / depth[..., None]
        return pixels, depth

    def sides(self) -> np.ndarray:
        """Outward unit normals [4, 3] of the planes through the pinhole that bound what is in the picture."""
        (u, v), (right, down) = self.focal_2, self.center_2
        outward_4x3 = np.array(
            [(-u, 0, -right), (u, 0, right - self.width), (0, -v, -down), (0, v, down - self.height)]
        )
        return outward_4x3 / np.linalg.norm(outward_4x3, axis=-1, keepdims=True) @ self.axes_3x3

    def ray(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels (u, v) [..., 2] → ray directions [..., 3] of depth 1: a hit's depth is its distance along the ray."""
        right_down = (pixels - self.center_2) / self.focal_2
        return right_down @ self.axes_3x3[:2] + self.axes_3x3[2]


def looking_at(target: np.ndarray, position: np.ndarray, focal: float, width: int, height: int) -> Camera:
    """An upright camera at `position` with `target` in the middle of its picture; `focal` is in pixels."""
    forward_3 = np.subtract(target, position) / np.linalg.norm(np.subtract(target, position))
    right_3 = np.cross(forward_3, (0.0, 0.0, 1.0))
    right_3 /= np.linalg.norm(right_3)
    return Camera(
        width=width,
        height=height,
        position_3=np.asarray(position, float),
        axes_3x3=np.stack([right_3, np.cross(forward_3, right_3), forward_3]),
        focal_2=np.array([focal, focal]),
        center_2=np.array([width / 2, height / 2]),
    )
