"""A small ray-caster: analytic solids on a lit ground, on any JAX device, at any resolution.

`render` draws the pictures, `visible` finds the object that each pixel shows. Rays are intersected in the object's own
frame, where it is the unit sphere, box, cylinder or cone; a new shape is one more such function. For each object only
the patch of the picture that it can cover is computed, and the nearer of old and new is kept pixel by pixel: the cost
scales with the area of the objects, not with that of the picture.

Internally, vectors are triples of arrays, not arrays with a last dimension of three: XLA then vectorises over pixels.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from aloe.render.camera import Camera

SPHERE, BOX, CYLINDER, CONE = range(4)

Triple = Sequence[jax.Array]
Size = tuple[int, int]  # rows, columns
View = Camera | Sequence[Camera]


class Solids(NamedTuple):
    """The objects of a video. Those outside the picture or behind the camera are not drawn.

    Attributes:
      shape_O: SPHERE, BOX (rotated about z), CYLINDER or CONE (upright).
      half_size_Ox3: half the extent along the object's own axes, in world units; for a sphere its radius, three times.
      color_Ox3: red, green and blue in [0, 1], as displayed.
      metal_O: from 0, matt (rubber), to 1, shiny (metal).
      location_FxOx3: centres, in world units.
      yaw_FxO: rotation about z, in radians.
    """

    shape_O: np.ndarray
    half_size_Ox3: np.ndarray
    color_Ox3: np.ndarray
    metal_O: np.ndarray
    location_FxOx3: np.ndarray
    yaw_FxO: np.ndarray


class Light(NamedTuple):
    """A distant lamp: the direction towards it (of any length) and its strength."""

    towards: tuple[float, float, float]
    strength: float


class Stage(NamedTuple):
    """The surroundings of the objects: lamps, the first of which casts the shadows; ground and sky as displayed."""

    lights: tuple[Light, ...] = (Light((0.5, -0.6, 1.0), 0.75), Light((0.6, 0.9, 0.5), 0.25))
    ambient: float = 0.3
    ground: tuple[float, float, float] = (0.70, 0.70, 0.70)
    sky: tuple[float, float, float] = (0.85, 0.88, 0.92)


STAGE = Stage()


def render(
    solids: Solids, camera: View, *, stage: Stage = STAGE, samples: int = 1, frames_at_once: int | None = None
) -> jax.Array:
    """Draws every frame: image_FxYxXx3, uint8.

    Args:
      solids: the objects.
      camera: the view, and the size of the picture; or one view per frame, all of the same size.
      stage: lamps, ground and sky.
      samples: rays along each side of a pixel. 2 smooths the edges and takes two to four times as long.
      frames_at_once: None draws frame after frame, best on a CPU; a number draws that many together, best on a GPU.
    """
    views = [camera] if isinstance(camera, Camera) else camera
    views = [view.resized(view.width * samples, view.height * samples) for view in views]
    return _draw(solids, views, stage, samples, frames_at_once)[..., :3]


def visible(solids: Solids, camera: View, *, frames_at_once: int | None = None) -> jax.Array:
    """The object seen through the centre of each pixel: index_FxYxX, int32, −1 for none."""
    views = [camera] if isinstance(camera, Camera) else camera
    return _draw(solids, views, STAGE, 1, frames_at_once)[..., 3].astype(jnp.int32) - 1


def _draw(solids: Solids, views: Sequence[Camera], stage: Stage, samples: int, frames_at_once: int | None) -> jax.Array:
    """image_FxYxXx4, uint8: red, green, blue and 1 + the object's index. A single view is used for all frames."""
    reach_Ox3 = np.array(solids.half_size_Ox3, float)
    upright_O = np.hypot(reach_Ox3[:, 0], reach_Ox3[:, 1])  # a box's corner, whatever its rotation
    reach_Ox3[:, :2] = np.where(np.asarray(solids.shape_O) == BOX, upright_O, reach_Ox3[:, 0])[:, None]
    location_FxOx3 = np.asarray(solids.location_FxOx3)
    shadow_FxOx3 = _shadow(location_FxOx3, reach_Ox3, stage)
    # Objects first, then their shadows.
    middle = np.concatenate([location_FxOx3, shadow_FxOx3 * (1, 1, 0)], 1)
    spread = np.concatenate([np.broadcast_to(reach_Ox3, location_FxOx3.shape), shadow_FxOx3[..., 2:] * (1, 1, 0)], 1)
    corners, patch = _patches(views, middle - spread, middle + spread)
    corner_FxOx2, shadow_corner_FxOx2 = np.split(corners, 2, axis=1)

    # Padded to a multiple of eight objects, so that few sizes are compiled; only the real ones are looped over.
    padding = -len(solids.shape_O) % 8
    still = solids.shape_O, solids.half_size_Ox3, solids.color_Ox3, solids.metal_O
    moving = location_FxOx3, solids.yaw_FxO, corner_FxOx2, shadow_FxOx3, shadow_corner_FxOx2
    return _draw_patches(
        [np.pad(array, [(0, padding)] + [(0, 0)] * (array.ndim - 1)) for array in map(np.asarray, still)],
        [np.pad(array, [(0, 0), (0, padding)] + [(0, 0)] * (array.ndim - 2)) for array in map(np.asarray, moving)],
        len(solids.shape_O),
        views[0],
        jax.tree.map(lambda *each: np.stack(each), *views) if len(views) > 1 else None,
        patch=patch,
        stage=stage,
        samples=samples,
        frames_at_once=frames_at_once,
    )


def _shadow(location_FxOx3: np.ndarray, reach_Ox3: np.ndarray, stage: Stage) -> np.ndarray:
    """Each object's shadow as a soft disc on the ground: its centre (x, y) and its radius."""
    towards_3 = np.array(stage.lights[0].towards)
    lean_2 = -towards_3[:2] / towards_3[2]
    center_FxOx2 = location_FxOx3[..., :2] + 0.5 * lean_2 * location_FxOx3[..., 2:]
    radius_O = 1.5 * reach_Ox3[:, 0]
    return np.concatenate([center_FxOx2, np.broadcast_to(radius_O[:, None], (*center_FxOx2.shape[:2], 1))], -1)


def _patches(views: Sequence[Camera], low_FxOx3: np.ndarray, high_FxOx3: np.ndarray) -> tuple[np.ndarray, Size]:
    """Patches of one size that contain the visible part of the boxes `low` to `high`: corner_FxOx2 and the size."""
    camera = views[0]
    low_or_high_8x3 = (np.arange(8)[:, None] >> np.arange(3)) % 2 == 1
    corners_8xFxOx3 = np.where(low_or_high_8x3[:, None, None], high_FxOx3, low_FxOx3)
    if len(views) == 1:
        pixels, depth = camera.project(corners_8xFxOx3)
    else:
        projected = [view.project(corners_8xFxOx3[:, frame]) for frame, view in enumerate(views)]
        pixels, depth = (np.stack(each, axis=1) for each in zip(*projected, strict=True))
    first_FxOx2, last_FxOx2 = np.floor(pixels.min(0)), np.ceil(pixels.max(0))
    size_2 = np.array([camera.width, camera.height])
    seen_FxO = (depth.min(0) > 0) & (first_FxOx2 < size_2).all(-1) & (last_FxOx2 > 0).all(-1)
    shown_FxOx2 = np.minimum(last_FxOx2, size_2) - np.maximum(first_FxOx2, 0)
    share = (np.where(seen_FxO[..., None], shown_FxOx2, 1) / size_2).max()
    patch_2 = np.ceil(size_2 * np.ceil(8 * share) / 8)  # one of eight sizes: each is compiled separately
    corner_FxOx2 = np.where(seen_FxO[..., None], np.clip(first_FxOx2, 0, size_2 - patch_2), 0)
    columns, rows = patch_2.astype(int)
    return corner_FxOx2[..., ::-1].astype(np.int32), (int(rows), int(columns))


@functools.partial(jax.jit, static_argnames=("patch", "stage", "samples", "frames_at_once"))
def _draw_patches(
    still: Sequence[jax.Array],
    moving: Sequence[jax.Array],
    objects: int | jax.Array,
    camera: Camera,
    cameras: Camera | None,
    *,
    patch: Size,
    stage: Stage,
    samples: int,
    frames_at_once: int | None,
) -> jax.Array:
    """With `cameras`, a pytree of arrays with a frame axis, `camera` is used only for the size of the picture."""
    picture = (camera.height, camera.width)
    whole = jnp.zeros(2, jnp.int32), picture
    still_ground_YxX = _ground(camera, _rays(camera, *whole), stage)

    def draw_frame(of_frame: tuple[Sequence[jax.Array], Camera | None]) -> jax.Array:
        (location_Ox3, yaw_O, corner_Ox2, shadow_Ox3, shadow_corner_Ox2), own_camera = of_frame
        view = own_camera or camera
        ground_YxX = _ground(view, _rays(view, *whole), stage) if own_camera else still_ground_YxX

        def darken(index: jax.Array, light_YxX: jax.Array) -> jax.Array:
            corner_2, shadow_3 = shadow_corner_Ox2[index], shadow_Ox3[index]
            x, y, _ = _on_ground(view, _rays(view, corner_2, patch))
            inside = 1 - ((x - shadow_3[0]) ** 2 + (y - shadow_3[1]) ** 2) / shadow_3[2] ** 2
            old = lax.dynamic_slice(light_YxX, corner_2, patch)
            return lax.dynamic_update_slice(light_YxX, old * (1 - 0.6 * jnp.maximum(inside, 0)), corner_2)

        def add(index: jax.Array, drawn: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            depth_YxX, pixel_YxX = drawn
            corner_2, rays = corner_Ox2[index], _rays(view, corner_Ox2[index], patch)
            solid = [array[index] for array in (*still, location_Ox3, yaw_O)]
            depth, pixel = _meet(*solid, camera=view, rays=rays, stage=stage)
            old = lax.dynamic_slice(depth_YxX, corner_2, patch)
            nearer = depth < old
            depth_YxX = lax.dynamic_update_slice(depth_YxX, jnp.where(nearer, depth, old), corner_2)
            pixel |= (index + 1).astype(jnp.uint32) << 24
            pixel = jnp.where(nearer, pixel, lax.dynamic_slice(pixel_YxX, corner_2, patch))
            return depth_YxX, lax.dynamic_update_slice(pixel_YxX, pixel, corner_2)

        light_YxX = lax.fori_loop(0, objects, darken, jnp.ones(picture))
        empty = (jnp.full(picture, jnp.inf), _pack([channel * light_YxX for channel in ground_YxX]))
        _, pixel_YxX = lax.fori_loop(0, objects, add, empty)
        return lax.bitcast_convert_type(_coarser(pixel_YxX, samples), jnp.uint8)

    return lax.map(draw_frame, (moving, cameras), batch_size=frames_at_once)


def _rays(camera: Camera, corner_2: jax.Array, patch: Size) -> Triple:
    """Rays of depth 1 through the pixel centres of the patch at `corner_2` (row, column)."""
    down_Y = (corner_2[0] + jnp.arange(patch[0]) + 0.5 - camera.center_2[1]) / camera.focal_2[1]
    right_X = (corner_2[1] + jnp.arange(patch[1]) + 0.5 - camera.center_2[0]) / camera.focal_2[0]
    right_3, down_3, forward_3 = camera.axes_3x3
    return [right_X * right_3[i] + down_Y[:, None] * down_3[i] + forward_3[i] for i in range(3)]


def _on_ground(camera: Camera, rays: Triple) -> Triple:
    """Where rays meet the ground: x, y and depth; those that never do get a negative depth."""
    depth = -camera.position_3[2] / rays[2]
    return [camera.position_3[0] + depth * rays[0], camera.position_3[1] + depth * rays[1], depth]


def _ground(camera: Camera, rays: Triple, stage: Stage) -> Triple:
    """The empty stage: ground that darkens away from its middle, and sky above the horizon. Linear red, green, blue."""
    x, y, depth = _on_ground(camera, rays)
    bright = 1 / (1 + (x**2 + y**2) / 80)
    return [jnp.where(depth > 0, bright * g**2, s**2) for g, s in zip(stage.ground, stage.sky, strict=True)]


def _meet(
    shape: jax.Array,
    half_size_3: jax.Array,
    color_3: jax.Array,
    metal: jax.Array,
    location_3: jax.Array,
    yaw: jax.Array,
    *,
    camera: Camera,
    rays: Triple,
    stage: Stage,
) -> tuple[jax.Array, jax.Array]:
    """Depth (∞ where the ray misses) and packed colour of one object along rays."""
    cos, sin = jnp.cos(yaw), jnp.sin(yaw)

    def own_frame(vector: Triple) -> Triple:
        turned = (cos * vector[0] + sin * vector[1], cos * vector[1] - sin * vector[0], vector[2])
        return [turned[i] / half_size_3[i] for i in range(3)]

    origin = own_frame([camera.position_3[i] - location_3[i] for i in range(3)])
    depth, normal = lax.switch(shape, (_sphere, _box, _cylinder, _cone), origin, own_frame(rays))
    depth = jnp.where(depth > 0, depth, jnp.inf)
    nx, ny, nz = (normal[i] / half_size_3[i] for i in range(3))
    normal = _unit([cos * nx - sin * ny, sin * nx + cos * ny, nz])
    return depth, _pack(_shade(color_3, metal, normal, _unit(rays), stage))


# Each takes a ray's origin and direction in the frame where the solid has half size 1 along every axis, and returns the
# depth at which the ray enters (∞ if it misses) and the normal there, of any length.


def _sphere(origin: Triple, ray: Triple) -> tuple[jax.Array, Triple]:
    squared = _dot(ray, ray)
    middle = -_dot(origin, ray) / squared
    nearest = [origin[i] + middle * ray[i] for i in range(3)]
    inside = 1 - _dot(nearest, nearest)
    enter = middle - jnp.sqrt(jnp.maximum(inside, 0) / squared)
    return jnp.where(inside > 0, enter, jnp.inf), [origin[i] + enter * ray[i] for i in range(3)]


def _box(origin: Triple, ray: Triple) -> tuple[jax.Array, Triple]:
    slabs = [_slab(origin[i], ray[i]) for i in range(3)]
    enter = functools.reduce(jnp.maximum, [slab[0] for slab in slabs])
    leave = functools.reduce(jnp.minimum, [slab[1] for slab in slabs])
    normal = [jnp.where(slabs[i][0] == enter, -jnp.sign(ray[i]), 0) for i in range(3)]
    return jnp.where(enter < leave, enter, jnp.inf), normal


def _cylinder(origin: Triple, ray: Triple) -> tuple[jax.Array, Triple]:
    squared = ray[0] ** 2 + ray[1] ** 2
    middle = -(origin[0] * ray[0] + origin[1] * ray[1]) / squared
    inside = 1 - (origin[0] + middle * ray[0]) ** 2 - (origin[1] + middle * ray[1]) ** 2
    half = jnp.sqrt(jnp.maximum(inside, 0) / squared)
    over, under = _slab(origin[2], ray[2])
    enter, leave = jnp.maximum(middle - half, over), jnp.minimum(middle + half, under)
    lid = over > middle - half
    normal = [
        jnp.where(lid, 0, origin[0] + enter * ray[0]),
        jnp.where(lid, 0, origin[1] + enter * ray[1]),
        jnp.where(lid, -jnp.sign(ray[2]), 0),
    ]
    return jnp.where((inside > 0) & (enter < leave), enter, jnp.inf), normal


def _cone(origin: Triple, ray: Triple) -> tuple[jax.Array, Triple]:
    """Base of radius 1 at z = −1, apex at z = 1: the radius is (1 − z) / 2, along the ray wide + widening · depth."""
    wide, widening = (1 - origin[2]) / 2, -ray[2] / 2
    squared = ray[0] ** 2 + ray[1] ** 2 - widening**2
    squared = jnp.where(jnp.abs(squared) < 1e-9, 1e-9, squared)
    half = -(origin[0] * ray[0] + origin[1] * ray[1] - wide * widening)
    inside = half**2 - squared * (origin[0] ** 2 + origin[1] ** 2 - wide**2)
    root = jnp.sqrt(jnp.maximum(inside, 0))
    first, last = (half - root) / squared, (half + root) / squared
    # A ray steeper than the side is inside this cone before or after both roots, and between them in neither half of
    # the double cone; the other half, above the apex, is cut off by the slab.
    steep = squared < 0
    before, after = jnp.minimum(first, last), jnp.maximum(first, last)
    first = jnp.where(steep, jnp.where(widening > 0, after, -jnp.inf), before)
    last = jnp.where(steep, jnp.where(widening > 0, jnp.inf, before), after)
    over, under = _slab(origin[2], ray[2])
    enter, leave = jnp.maximum(first, over), jnp.minimum(last, under)
    base = over > first
    z = origin[2] + enter * ray[2]
    normal = [
        jnp.where(base, 0, origin[0] + enter * ray[0]),
        jnp.where(base, 0, origin[1] + enter * ray[1]),
        jnp.where(base, -jnp.sign(ray[2]), (1 - z) / 4),
    ]
    return jnp.where((inside > 0) & (enter < leave), enter, jnp.inf), normal


def _slab(origin: jax.Array, ray: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where a ray enters and leaves −1 ≤ coordinate ≤ 1."""
    one, other = (-1 - origin) / ray, (1 - origin) / ray
    return jnp.minimum(one, other), jnp.maximum(one, other)


def _shade(color_3: jax.Array, metal: jax.Array, normal: Triple, ray: Triple, stage: Stage) -> Triple:
    """Linear red, green, blue. Rubber is matt; metal mirrors the stage, tinted, and has small bright highlights."""
    twice = 2 * _dot(normal, ray)
    mirrored = [ray[i] - twice * normal[i] for i in range(3)]
    diffuse, shine = stage.ambient * (0.8 + 0.2 * normal[2]), jnp.zeros(())
    for light in stage.lights:
        towards_3 = np.array(light.towards) / np.linalg.norm(light.towards)
        diffuse += light.strength * jnp.maximum(_dot(normal, towards_3), 0)
        cosine = jnp.maximum(_dot(mirrored, towards_3), 0)
        shine += light.strength * jnp.where(metal > 0.5, 1.2 * cosine**32, 0.1 * cosine**8)
    # A studio with a bright window in front and behind: with nothing to mirror, flat metal would look like rubber.
    across, along = mirrored[0] ** 2, mirrored[1] ** 2
    window = 0.15 + 0.85 * across / (across + along)
    tinted = diffuse * (1 - 0.75 * metal) + 1.1 * metal * window
    glare = shine + 0.18 * metal * window**2
    return [color_3[i] ** 2 * tinted + glare for i in range(3)]


def _pack(linear: Triple) -> jax.Array:
    """Linear red, green, blue → displayed (gamma 2), 8 bits each, in the low 24 bits of one number."""
    red, green, blue = ((jnp.sqrt(jnp.clip(channel, 0, 1)) * 255 + 0.5).astype(jnp.uint32) for channel in linear)
    return red | green << 8 | blue << 16


def _coarser(pixel_YxX: jax.Array, samples: int) -> jax.Array:
    """Means over squares of `samples` × `samples` packed pixels, each channel separately."""
    if samples == 1:
        return pixel_YxX
    area = samples * samples
    coarse = jnp.uint32(0)
    for shift in (0, 8, 16, 24):
        channel_YxX = pixel_YxX >> shift & 0xFF
        total = sum(channel_YxX[y::samples, x::samples] for y in range(samples) for x in range(samples))
        coarse |= (total + area // 2) // area << shift
    return coarse


def _dot(a: Triple, b: Triple) -> jax.Array:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _unit(vector: Triple) -> Triple:
    scale = lax.rsqrt(_dot(vector, vector))
    return [component * scale for component in vector]
