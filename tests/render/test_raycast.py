import numpy as np
import pytest

from aloe.render import raycast
from aloe.render.camera import looking_at
from aloe.render.raycast import BOX, CONE, CYLINDER, SPHERE
from aloe.tasks.clevrer.view import clevrer_camera


def solids(*objects, metal=0.0, frames=1):
    """Solids from the (shape, half size, location, yaw, color) of each."""
    shapes, half_sizes, locations, yaws, colors = zip(*objects, strict=True)
    return raycast.Solids(
        shape_O=np.array(shapes),
        half_size_Ox3=np.array(half_sizes, float),
        color_Ox3=np.array(colors, float),
        metal_O=np.full(len(shapes), metal),
        location_FxOx3=np.repeat(np.array(locations, float)[None], frames, 0),
        yaw_FxO=np.repeat(np.array(yaws, float)[None], frames, 0),
    )


def crowd(objects=6, frames=1, seed=0):
    """Solids of all shapes and several sizes, some behind others, some partly out of the picture."""
    rng = np.random.default_rng(seed)
    drawn = []
    for index in range(objects):
        half_size_3 = rng.uniform(0.1, 0.4, 3)
        shape = index % 4
        if shape != BOX:
            half_size_3[1] = half_size_3[0]
        if shape == SPHERE:
            half_size_3[2] = half_size_3[0]
        location_3 = (*rng.uniform((-2.5, -1.8), (2, 1.8)), half_size_3[2] + rng.uniform(0, 0.3))
        drawn.append((shape, half_size_3, location_3, rng.uniform(0, 3), rng.uniform(0, 1, 3)))
    return solids(*drawn, frames=frames)


def contains(scene, index, points, scale):
    """Whether points are inside an object scaled by `scale`."""
    x, y, z = (points - scene.location_FxOx3[0, index]).T
    cos, sin = np.cos(scene.yaw_FxO[0, index]), np.sin(scene.yaw_FxO[0, index])
    a, b, c = np.stack([cos * x + sin * y, -sin * x + cos * y, z]) / (scale * scene.half_size_Ox3[index])[:, None]
    return {
        SPHERE: a**2 + b**2 + c**2 < 1,
        BOX: np.maximum(np.maximum(abs(a), abs(b)), abs(c)) < 1,
        CYLINDER: (a**2 + b**2 < 1) & (abs(c) < 1),
        CONE: (4 * (a**2 + b**2) < (1 - c) ** 2) & (abs(c) < 1),
    }[scene.shape_O[index]]


def march(scene, view, pixel, scale):
    """The first object met on a walk along a pixel's ray; −1 for none."""
    depth = np.arange(1, 12, 3e-3)
    points = view.position_3 + depth[:, None] * view.ray(np.array(pixel) + 0.5)
    inside_OxT = np.stack([contains(scene, index, points, scale) for index in range(len(scene.shape_O))])
    met = inside_OxT.any(0)
    return inside_OxT[:, met.argmax()].argmax() if met.any() else -1


@pytest.mark.parametrize("seed", [0, 1])
def test_masks_are_those_of_a_walk_along_each_ray(seed):
    scene, view = crowd(seed=seed), clevrer_camera(36, 24)
    index_YxX = np.asarray(raycast.visible(scene, view))[0]
    compared = set()
    for y in range(view.height):
        for x in range(view.width):
            small, large = march(scene, view, (x, y), 0.98), march(scene, view, (x, y), 1.02)
            if small == large:  # else the ray grazes an edge, which the walk cannot decide
                assert index_YxX[y, x] == small, (x, y)
                compared.add(small)
    assert len(compared) > 4


def test_an_object_lies_where_the_camera_projects_its_centre():
    places = [(-2, -1, 0.2), (-1, 0.5, 0.2), (1, 0.8, 0.2), (0.5, -0.9, 0.2), (-2, 1, 0.2)]
    scene = solids(*((index % 3, (0.2,) * 3, place, 0.3, (1, 0, 0)) for index, place in enumerate(places)))
    for size in ((96, 64), (64, 64)):
        view = clevrer_camera(*size)
        columns, rows = view.project(np.array(places))[0].astype(int).T
        index_YxX = np.asarray(raycast.visible(scene, view))[0]
        assert index_YxX[rows, columns].tolist() == [0, 1, 2, 3, 4]


def test_more_objects_than_the_padding_and_none_out_of_view():
    scene = crowd(objects=11, seed=3)
    scene.location_FxOx3[0, 4] = (0, 40, 0.2)  # outside the picture
    scene.location_FxOx3[0, 5] = (9, 0, 0.2)  # behind the camera
    seen = set(np.unique(np.asarray(raycast.visible(scene, clevrer_camera(96, 64)))).tolist())
    assert seen <= set(range(-1, 11)) - {4, 5}
    assert seen >= {-1, 10}


@pytest.mark.parametrize("height", [0.5, 5.0])
def test_a_cone_from_above_and_from_below_its_base(height):
    """Rays steeper than its side: down onto its apex and, with the cone above the camera, up against its base."""
    scene = solids((CONE, (0.5, 0.5, 0.8), (0.1, 0, height), 0.0, (1, 0, 0)))
    view = looking_at(np.array([0.0, 0, height]), np.array([0.3, 0.2, 2.5]), focal=40.0, width=36, height=24)
    index_YxX = np.asarray(raycast.visible(scene, view))[0]
    for y in range(view.height):
        for x in range(view.width):
            small, large = march(scene, view, (x, y), 0.98), march(scene, view, (x, y), 1.02)
            assert small != large or index_YxX[y, x] == small, (x, y)
    assert 50 < (index_YxX == 0).sum() < 600


def test_a_view_for_each_frame_draws_each_frame_from_its_own():
    scene = crowd(frames=3)
    places = [(2.0, 0.5, 2.0), (-1.0, 2.5, 3.0), (0.5, -0.3, 5.0)]
    views = [looking_at(np.zeros(3), np.array(place), focal=60.0, width=48, height=32) for place in places]
    for draw in (raycast.render, raycast.visible):
        together = np.asarray(draw(scene, views, frames_at_once=2), int)
        for frame, view in enumerate(views):
            one = scene._replace(location_FxOx3=scene.location_FxOx3[:1], yaw_FxO=scene.yaw_FxO[:1])
            np.testing.assert_allclose(together[frame], np.asarray(draw(one, view), int)[0], atol=1)
    assert len({frame.tobytes() for frame in np.asarray(raycast.render(scene, views))}) == 3


def test_frames_follow_their_own_locations():
    scene = crowd(frames=3)
    scene.location_FxOx3[2] += (0.3, 0.2, 0)
    image_FxYxXx3 = np.asarray(raycast.render(scene, clevrer_camera(48, 32)))
    assert image_FxYxXx3.shape == (3, 32, 48, 3)
    assert image_FxYxXx3.dtype == np.uint8
    assert (image_FxYxXx3[0] == image_FxYxXx3[1]).all()
    assert (image_FxYxXx3[0] != image_FxYxXx3[2]).any()


def test_drawing_frames_together_draws_the_same():
    scene, view = crowd(frames=5), clevrer_camera(48, 32)
    scene.location_FxOx3[:, 0, 1] += np.linspace(0, 1, 5)
    one_by_one, together = (np.asarray(raycast.render(scene, view, frames_at_once=n)).astype(int) for n in (None, 2))
    assert abs(one_by_one - together).max() <= 1
    assert (
        np.asarray(raycast.visible(scene, view)) == np.asarray(raycast.visible(scene, view, frames_at_once=2))
    ).all()


def test_samples_are_averaged():
    scene = crowd()
    fine = np.asarray(raycast.render(scene, clevrer_camera(96, 64)), float)[0]
    smooth = np.asarray(raycast.render(scene, clevrer_camera(48, 32), samples=2))[0]
    assert abs(smooth - fine.reshape(32, 2, 48, 2, 3).mean((1, 3))).max() <= 0.5


@pytest.mark.parametrize("shape", [SPHERE, BOX, CYLINDER, CONE])
def test_metal_and_rubber_look_different(shape):
    view = clevrer_camera(96, 64)
    one = (shape, (0.2,) * 3, (0.5, 0, 0.2), 0.4, (0.68, 0.14, 0.14))
    rubber, metal = (np.asarray(raycast.render(solids(one, metal=m), view), float)[0] for m in (0.0, 1.0))
    mask_YxX = np.asarray(raycast.visible(solids(one), view))[0] == 0
    assert abs(rubber - metal)[mask_YxX].mean() > 20
    for image in (rubber, metal):
        red, green, blue = image[mask_YxX].mean(0)
        assert red > 1.3 * max(green, blue)


def test_an_object_shades_the_ground_beside_it_only():
    view = clevrer_camera(96, 64)
    scene = solids((CYLINDER, (0.2,) * 3, (0, 0, 0.2), 0.0, (1, 1, 1)))
    far = solids((CYLINDER, (0.2,) * 3, (0, 40, 0.2), 0.0, (1, 1, 1)))
    darker_YxX = (np.asarray(raycast.render(far, view), int) - np.asarray(raycast.render(scene, view), int))[0].sum(-1)
    darker_YxX[np.asarray(raycast.visible(scene, view))[0] == 0] = 0
    rows, columns = np.nonzero(darker_YxX)
    assert darker_YxX.min() == 0
    assert len(rows) > 10
    center_2 = view.project(np.array([0, 0, 0.2]))[0]
    assert abs(columns - center_2[0]).max() < 12
    assert abs(rows - center_2[1]).max() < 12
