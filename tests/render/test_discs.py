import dataclasses
import itertools

import numpy as np
import pytest

from aloe.render import discs

TABLE = discs.Physics()
ICE = discs.Physics(deceleration=0, damping=0, grip=0)


def run(location, velocity, *, start=None, frames=100, physics=ICE):
    location, velocity = np.array(location, float), np.array(velocity, float)
    start = np.zeros(len(location), int) if start is None else np.array(start)
    return discs.simulate(location, velocity, np.zeros(len(location)), start, frames, physics)


def crowd(seed, physics=TABLE):
    rng = np.random.default_rng(seed)
    grid = np.array(list(itertools.product((-1.5, -0.5, 0.5, 1.5), repeat=2)))
    location = grid[rng.permutation(16)[:7]] + rng.uniform(-0.2, 0.2, (7, 2))
    return run(location, rng.uniform(-2, 2, (7, 2)), frames=175, physics=physics)


def test_a_head_on_collision_has_the_momentum_and_the_restitution():
    motion = run([(0, 0), (1, 0)], [(1, 0), (0, 0)])
    np.testing.assert_allclose(motion.velocity_FxOx2.sum(1), np.tile((1.0, 0.0), (100, 1)), atol=1e-12)
    np.testing.assert_allclose(motion.velocity_FxOx2[-1], [(0.15, 0), (0.85, 0)], atol=1e-12)
    (collision,) = motion.collisions
    assert collision.pair == (0, 1)
    assert collision.speed == pytest.approx(1.0)
    # They touch when the first has moved by 0.6, at 0.6 s, which is detected in the next step.
    assert collision.frame in (15, 16)
    np.testing.assert_allclose(collision.location_2, (0.8, 0), atol=1 / 75)


@pytest.mark.parametrize("seed", range(4))
def test_momentum_stays_in_a_crowd_and_energy_does_not_grow(seed):
    motion = crowd(seed, ICE)
    momentum_Fx2 = motion.velocity_FxOx2.sum(1)
    np.testing.assert_allclose(momentum_Fx2, np.broadcast_to(momentum_Fx2[0], momentum_Fx2.shape), atol=1e-9)
    energy_F = (motion.velocity_FxOx2**2).sum((1, 2))
    assert (np.diff(energy_F) < 1e-9).all()
    assert motion.collisions


@pytest.mark.parametrize("seed", range(6))
def test_just_those_pairs_collide_that_touch(seed):
    motion = crowd(seed)
    step = 4 / (25 * discs.Physics().steps)  # how much closer two discs at speed 2 get in a simulation step
    reported = {collision.pair for collision in motion.collisions}
    for pair in itertools.combinations(range(7), 2):
        gap_F = np.linalg.norm(np.subtract(*motion.location_FxOx2[:, pair].transpose(1, 0, 2)), axis=-1) - 0.4
        assert gap_F.min() > -step, "discs overlap"
        if pair not in reported:
            assert gap_F.min() > 0
    for collision in motion.collisions:
        one_2, other_2 = motion.location_FxOx2[collision.frame, list(collision.pair)]
        assert np.linalg.norm(one_2 - other_2) - 0.4 < 4 / 25  # apart again by at most the distance of one frame
        for center_2 in (one_2, other_2):
            assert np.linalg.norm(center_2 - collision.location_2) < 0.2 + 4 / 25


def test_a_contact_that_lasts_is_one_collision():
    sticky = dataclasses.replace(ICE, restitution=0)
    motion = run([(0, 0), (1, 0)], [(1, 0), (0, 0)], physics=sticky)
    np.testing.assert_allclose(motion.velocity_FxOx2[-1], [(0.5, 0), (0.5, 0)], atol=1e-3)
    assert len(motion.collisions) == 1


def test_sliding_slows_evenly_to_rest():
    physics = discs.Physics(damping=0)
    motion = run([(0, 0)], [(1, 0)], physics=physics, frames=120)
    step = 1 / (physics.frame_rate * physics.steps)
    speeds = np.maximum(1 - physics.deceleration * step * np.arange(119 * physics.steps), 0)
    np.testing.assert_allclose(motion.location_FxOx2[-1, 0], (speeds.sum() * step, 0), atol=1e-9)
    assert (motion.velocity_FxOx2[-1] == 0).all()


def test_damping_takes_its_share_each_second():
    motion = run([(0, 0)], [(1, 0)], physics=dataclasses.replace(ICE, damping=0.06), frames=26)
    np.testing.assert_allclose(motion.velocity_FxOx2[25, 0], (0.94, 0), atol=1e-9)


def test_a_disc_rests_until_its_start():
    motion = run([(0, 0), (3, 3)], [(1, 0), (0, 1)], start=[0, 10], frames=30)
    np.testing.assert_allclose(motion.location_FxOx2[:11, 1], 3, atol=0)
    np.testing.assert_allclose(motion.location_FxOx2[20, 1], (3, 3.4), atol=1e-9)
    np.testing.assert_allclose(motion.location_FxOx2[20, 0], (0.8, 0), atol=1e-9)


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_what_happens_before_the_first_push(seed, overlapping):
    """Bit for bit the same as with a distant disc that moves from the first frame on: nothing, unless discs overlap."""
    rng = np.random.default_rng(seed)
    location, velocity = [(0, 0), (1, 0.1), (2, -0.1), (1.2 if overlapping else 3, 0.1)], np.zeros((4, 2))
    velocity[:2] = rng.uniform(0.5, 2, (2, 2)) * (1, 0.1)
    alone = run(location, velocity, start=[23, 20, 0, 0], physics=TABLE)
    beside = run([*location, (90, 0)], [*velocity, (3, 0)], start=[23, 20, 0, 0, 0], physics=TABLE)
    for name in ("location_FxOx2", "velocity_FxOx2", "angle_FxO", "spin_FxO"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(beside, name)[:, :4])
    assert alone.collisions == beside.collisions
    assert any(collision.frame > 20 for collision in alone.collisions)
    assert any(collision.frame <= 20 for collision in alone.collisions) == overlapping
    assert (alone.location_FxOx2[20] != location).any() == overlapping


def test_the_same_input_gives_the_same_bits():
    first, second = crowd(0), crowd(0)
    assert first.collisions == second.collisions
    for name in ("location_FxOx2", "velocity_FxOx2", "angle_FxO", "spin_FxO"):
        assert (getattr(first, name) == getattr(second, name)).all()


def test_rubbing_discs_turn():
    motion = run([(0, 0), (1, 0.2)], [(1, 0), (0, 0)], physics=dataclasses.replace(ICE, grip=0.3))
    assert abs(motion.spin_FxO[-1]).min() > 0.01
    assert abs(motion.angle_FxO[-1]).min() > 0.01
