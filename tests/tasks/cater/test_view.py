"""The cameras, compared with the published matrix and with the dataset's description."""

import numpy as np

from aloe.tasks.cater import grid, view

# Published with the dataset: baselines/tracking/proj_utils.py.
MATRIX = np.array(
    [
        (1.4503, 1.6376, 0.0, -0.0251),
        (-1.0346, 0.9163, 2.5685, 0.0095),
        (-0.6606, 0.5850, -0.4748, 10.5666),
        (-0.6592, 0.5839, -0.4738, 10.7452),
    ]
)


def points(number=500):
    return np.random.default_rng(0).uniform((-3, -3, 0), (3, 3, 1.5), (number, 3))


def test_the_static_camera_is_the_published_projection():
    place_Px3 = points()
    u_P, v_P, _, w_P = MATRIX @ np.column_stack([place_Px3, np.ones(len(place_Px3))]).T
    wanted_Px2 = np.column_stack([(u_P / w_P + 1) * 160, (1 - v_P / w_P) * 120])
    pixels_Px2, depth_P = view.static_camera().project(place_Px3)
    np.testing.assert_allclose(pixels_Px2, wanted_Px2, atol=1e-3)
    np.testing.assert_allclose(depth_P, w_P, rtol=1e-4)
    assert ((pixels_Px2 > 0) & (pixels_Px2 < (320, 240))).mean() > 0.95


def test_from_a_label_to_the_picture_and_back():
    """As in the dataset's tracker: the ray of a pixel reaches the height of the snitch in the cell of the label."""
    camera = view.static_camera()
    place_Px3 = points() * (1, 1, 0) + (0, 0, 0.342)
    ray_Px3 = camera.ray(camera.project(place_Px3)[0].round())  # whole pixels
    way_P = (0.342 - camera.position_3[2]) / ray_Px3[:, 2]
    back_Px3 = camera.position_3 + way_P[:, None] * ray_Px3
    assert (grid.cell(back_Px3) == grid.cell(place_Px3)).mean() > 0.95
    exact_Px3 = camera.ray(camera.project(place_Px3)[0])
    way_P = (0.342 - camera.position_3[2]) / exact_Px3[:, 2]
    back_Px3 = camera.position_3 + way_P[:, None] * exact_Px3
    np.testing.assert_allclose(back_Px3, place_Px3, atol=2e-3)


def test_the_moving_camera_begins_at_the_static_one_and_goes_from_side_to_side():
    path_Fx3 = view.draw_path(301, np.random.default_rng(0))
    assert path_Fx3.shape == (301, 3)
    np.testing.assert_allclose(path_Fx3[0], view.static_camera().position_3)
    corners_Cx3 = path_Fx3[30::30]
    assert (abs(corners_Cx3[:, :2]).max(axis=1) == 10).all()
    assert set(corners_Cx3[:, 2]) <= {8, 10, 12}
    for start in range(0, 300, 30):
        steps = np.diff(path_Fx3[start : start + 31], axis=0)
        np.testing.assert_allclose(steps, np.broadcast_to(steps[0], steps.shape), atol=1e-9)


def test_every_place_of_the_moving_camera_looks_at_the_middle_of_the_table():
    path_Fx3 = view.draw_path(301, np.random.default_rng(1))
    for position_3, camera in zip(path_Fx3, view.moving_cameras(path_Fx3, 64, 48), strict=True):
        np.testing.assert_allclose(camera.project(np.zeros(3))[0], (32, 24), atol=1e-6)
        np.testing.assert_array_equal(camera.position_3, position_3)
    pixels = [each.project(points(50))[0] for each in (view.static_camera(), view.moving_cameras(path_Fx3[:1])[0])]
    np.testing.assert_allclose(*pixels, atol=1)
