import numpy as np
import pytest

from aloe.render import camera
from aloe.tasks.clevrer.view import clevrer_camera


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    return rng.uniform((-5, -2, 0), (2, 2, 2), (100, 3))


def test_clevrer_camera_is_the_published_projection(points):
    x, y, z = points.T
    w = -0.866 * x - 0.5 * z + 5
    u = (-207.846 * x + 525 * y - 120 * z + 1200) / w
    v = (123.936 * x - 534.663 * z + 800) / w
    pixels, depth = clevrer_camera().project(points)
    np.testing.assert_allclose(pixels, np.stack([u, v], -1), atol=0.02)  # the formula has three decimals
    np.testing.assert_allclose(depth, w, atol=2e-4)


@pytest.mark.parametrize(("width", "height"), [(96, 64), (64, 64), (960, 640)])
def test_other_sizes_scale_the_pixels(points, width, height):
    pixels, _ = clevrer_camera(width, height).project(points)
    official, _ = clevrer_camera().project(points)
    np.testing.assert_allclose(pixels, official * (width / 480, height / 320), rtol=1e-12)


def test_a_ray_leads_back_to_the_point(points):
    view = clevrer_camera(96, 64)
    pixels, depth = view.project(points)
    np.testing.assert_allclose(view.position_3 + depth[:, None] * view.ray(pixels), points, atol=1e-12)


@pytest.mark.parametrize(("width", "height"), [(480, 320), (64, 64)])
def test_the_sides_bound_what_is_in_the_picture(points, width, height):
    view = clevrer_camera(width, height)
    pixels, depth = view.project(points)
    assert (depth > 0).all()
    in_picture = ((pixels > 0) & (pixels < (width, height))).all(-1)
    outside = (points - view.position_3) @ view.sides().T
    np.testing.assert_array_equal((outside < 0).all(-1), in_picture)
    assert 0.2 < in_picture.mean() < 0.8
    np.testing.assert_allclose(np.linalg.norm(view.sides(), axis=-1), 1, rtol=1e-12)


def test_the_axes_are_a_right_angled_frame():
    axes_3x3 = clevrer_camera().axes_3x3
    np.testing.assert_allclose(axes_3x3 @ axes_3x3.T, np.eye(3), atol=1e-15)
    np.testing.assert_allclose(np.cross(axes_3x3[0], axes_3x3[1]), axes_3x3[2], atol=1e-15)


def test_a_camera_that_looks_at_a_point_is_upright_and_has_it_in_the_middle():
    position_3, target_3 = np.array([7.0, -6.0, 5.0]), np.array([0.5, 0.2, 0.3])
    view = camera.looking_at(target_3, position_3, focal=350.0, width=320, height=240)
    np.testing.assert_allclose(view.axes_3x3 @ view.axes_3x3.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(view.axes_3x3), 1)
    pixels, depth = view.project(target_3 + np.array([(0, 0, 0), (0, 0, 0.1)]))
    np.testing.assert_allclose(pixels[0], (160, 120))
    np.testing.assert_allclose(depth[0], np.linalg.norm(position_3 - target_3))
    np.testing.assert_allclose(pixels[1, 0], 160)
    assert pixels[1, 1] < 120  # what is higher appears higher in the picture
