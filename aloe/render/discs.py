"""Discs that slide and collide on a table, seen from above: the planar physics of the worlds (pymunk).

Objects stand upright on the ground, so their motion is that of discs. Constants follow VRDP's fit to such videos
(dingmyu/VRDP): radius 0.2, mass 1, restitution 0.7, sliding friction 0.03 with g = 9.806, damping 0.06 per second.
"""

import dataclasses
import math

import numpy as np
import pymunk
import pymunk.batch


@dataclasses.dataclass(frozen=True)
class Physics:
    """Constants, in world units and seconds, with mass 1 for every disc.

    Attributes:
      radius: that of every disc.
      restitution: ratio of the speeds after and before a head-on collision of two discs.
      deceleration: from sliding on the table, independent of speed, so that discs come to rest.
      damping: fraction of the speed that is lost per second in addition.
      grip: coefficient of friction between two discs, which makes them rotate.
      frame_rate: frames per second.
      steps: simulation steps per frame.
    """

    radius: float = 0.2
    restitution: float = 0.7
    deceleration: float = 0.03 * 9.806
    damping: float = 0.06
    grip: float = 0.2
    frame_rate: float = 25.0
    steps: int = 3


@dataclasses.dataclass(frozen=True)
class Collision:
    """Two discs begin to touch.

    Attributes:
      pair: the discs, the lower index first.
      frame: the first frame at or after the contact.
      location_2: the point of contact.
      speed: the speed of approach, along the line between their centres.
    """

    pair: tuple[int, int]
    frame: int
    location_2: tuple[float, float]
    speed: float


@dataclasses.dataclass(frozen=True)
class Motion:
    """What happened: the state at each frame, from the initial one at frame 0, and the collisions in time order."""

    location_FxOx2: np.ndarray
    velocity_FxOx2: np.ndarray
    angle_FxO: np.ndarray
    spin_FxO: np.ndarray
    collisions: tuple[Collision, ...]


def simulate(
    location_Ox2: np.ndarray,
    velocity_Ox2: np.ndarray,
    angle_O: np.ndarray,
    start_O: np.ndarray,
    frames: int,
    physics: Physics,
) -> Motion:
    """Simulates sliding and colliding discs for `frames` frames. The same input gives the same output, bit for bit.

    Args:
      location_Ox2: centres at frame 0.
      velocity_Ox2: the velocity that each disc is given at its start.
      angle_O: rotation at frame 0, in radians.
      start_O: the frame at which each disc is given its velocity; it rests until then.
      frames: how many to simulate.
      physics: the constants.
    """
    space = pymunk.Space()
    space.damping = 1 - physics.damping
    step = 1 / (physics.frame_rate * physics.steps)
    bodies: list[pymunk.Body] = []
    place_of: dict[pymunk.Body | None, int] = {}
    pushes: dict[int, list[tuple[pymunk.Body, tuple[float, float]]]] = {}
    for location_2, velocity_2, angle, start in zip(
        location_Ox2.tolist(), velocity_Ox2.tolist(), angle_O.tolist(), start_O, strict=True
    ):
        body = pymunk.Body(mass=1, moment=pymunk.moment_for_circle(1, 0, physics.radius))
        body.position, body.angle = tuple(location_2), angle
        disc = pymunk.Circle(body, physics.radius)
        # pymunk multiplies the two discs' values.
        disc.elasticity, disc.friction = math.sqrt(physics.restitution), math.sqrt(physics.grip)
        # Joints to the table that do not pull (no bias) and yield at a set force: sliding friction, seen from above.
        slide = pymunk.PivotJoint(space.static_body, body, (0, 0), (0, 0))
        turn = pymunk.GearJoint(space.static_body, body, 0, 1)
        slide.max_bias = turn.max_bias = 0
        slide.max_force, turn.max_force = physics.deceleration, physics.deceleration * physics.radius * 2 / 3
        space.add(body, disc, slide, turn)
        pushes.setdefault(int(start), []).append((body, tuple(velocity_2)))
        place_of[body] = len(bodies)
        bodies.append(body)

    collisions = []
    frame = 0

    def begin(arbiter: pymunk.Arbiter, *_: object) -> None:
        one, other = arbiter.bodies
        approach = (one.velocity - other.velocity).dot(arbiter.normal)
        contact = arbiter.contact_point_set.points[0]
        x, y = (contact.point_a + contact.point_b) / 2
        first, second = sorted((place_of[one], place_of[other]))
        collisions.append(Collision((first, second), frame + 1, (x, y), approach))

    space.on_collision(begin=begin)
    # One call per frame for all bodies, including the table: reading discs one by one takes longer than moving them.
    # The buffer grows by one frame with each call.
    fields = pymunk.batch.BodyFields
    wanted = fields.POSITION | fields.VELOCITY | fields.ANGLE | fields.ANGULAR_VELOCITY
    buffer = pymunk.batch.Buffer()
    pymunk.batch.get_space_bodies(space, fields.BODY_ID, buffer)
    row_of = {number: row for row, number in enumerate(memoryview(buffer.int_buf()).cast("P"))}
    row_O = [row_of[body.id] for body in bodies]
    first_push = start_O[velocity_Ox2.any(1)].min(initial=frames)
    for frame in range(frames):
        for body, velocity_2 in pushes.get(frame, ()):
            body.velocity = velocity_2
        pymunk.batch.get_space_bodies(space, wanted, buffer)
        # Nothing moves before the first push, unless the first frame shows that discs overlap.
        still = 0 < frame < first_push and not collisions
        if frame < frames - 1 and not still:
            for _ in range(physics.steps):
                space.step(step)
    state_FxOx6 = np.frombuffer(buffer.float_buf()).reshape(frames, -1, 6)[:, row_O]
    return Motion(
        location_FxOx2=state_FxOx6[..., 0:2],
        angle_FxO=state_FxOx6[..., 2],
        velocity_FxOx2=state_FxOx6[..., 3:5],
        spin_FxO=state_FxOx6[..., 5],
        collisions=tuple(collisions),
    )
