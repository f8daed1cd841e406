import numpy as np
import pytest

from aloe.render import raycast
from aloe.tasks.clevrer import appearance, scenes
from aloe.tasks.clevrer.view import clevrer_camera


def test_nothing_shows_of_an_object_out_of_view(drawn):
    view = clevrer_camera(120, 80)
    checked = 0
    for each in drawn[:4]:
        shown = each.motion.location_FxOx2[: scenes.SEEN], each.motion.angle_FxO[: scenes.SEEN]
        index_FxYxX = np.asarray(raycast.visible(appearance.solids(each.scene.attributes, *shown), view))
        inside_FxO = each.read.visible_FxO
        pixels_FxO = np.stack([(index_FxYxX == index).sum((1, 2)) for index in range(inside_FxO.shape[1])], -1)
        assert (pixels_FxO[~inside_FxO] == 0).all()
        # And objects flagged as in view do show, except for slivers at the border and occluded objects.
        assert (pixels_FxO[inside_FxO] > 0).mean() > 0.97
        checked += (~inside_FxO).sum()
    assert checked > 100


@pytest.mark.parametrize("shape", ["cube", "sphere", "cylinder"])
def test_in_view_begins_where_the_first_pixel_shows(shape):
    """Entering from the left in a high-resolution picture: flagged no later than drawn, and hardly earlier."""
    view = clevrer_camera(960, 640)
    y_F = np.linspace(-2.8, -1.8, 101)
    location_Fx1x2 = np.stack([np.zeros(101), y_F], -1)[:, None]
    attributes = (("red", "metal", shape),)
    solids = appearance.solids(attributes, location_Fx1x2, np.full((101, 1), np.pi / 4))
    drawn_F = (np.asarray(raycast.visible(solids, view)) == 0).any((1, 2))
    inside_F = appearance.in_view(location_Fx1x2, attributes)[:, 0]
    assert 0 <= drawn_F.argmax() - inside_F.argmax() <= 4  # hundredths of a unit; an object is 40 wide


@pytest.mark.parametrize("shape", ["cube", "sphere", "cylinder"])
def test_in_view_is_judged_by_the_hull_wherever_the_object_is(shape):
    """Skipping the hulls of objects that are too far from the picture does not change the result."""
    hull = appearance._hull(shape)
    assert np.linalg.norm(hull, axis=-1).max() < appearance.REACH
    location_Fx1x2 = np.random.default_rng(0).uniform((-5, -5), (4, 5), (5000, 1, 2))
    center_Fx1x3 = np.append(location_Fx1x2, np.full((5000, 1, 1), appearance.HALF_SIZE[shape][2]), -1)
    pixels, _ = appearance.VIEW.project(center_Fx1x3 + hull)
    inside_F = ((pixels.max(1) > 0) & (pixels.min(1) < (480, 320))).all(-1)
    _, depth_Fx1 = appearance.VIEW.project(center_Fx1x3)
    np.testing.assert_array_equal(
        appearance.in_view(location_Fx1x2, (("red", "metal", shape),))[:, 0], inside_F & (depth_Fx1[:, 0] > 0.5)
    )
    assert 0.1 < inside_F.mean() < 0.9
