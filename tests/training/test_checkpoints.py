"""Each host's share of an array, and a saved state that is restored bit for bit."""

import dataclasses
import math

import jax
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from aloe.training.checkpoints import Checkpoints, host_share, prime_factors
from aloe.training.state import initial_state
from aloe.training.step import data_mesh
from tests.training.toy import Toy


@dataclasses.dataclass(frozen=True)
class FakeDevice:
    id: int
    process_index: int


@dataclasses.dataclass(frozen=True)
class FakeMesh:
    devices: np.ndarray


def parts_of(monkeypatch, shape, hosts, per_host=8):
    """Number of parts that each axis is split into."""
    monkeypatch.setattr("aloe.training.checkpoints.NamedSharding", lambda mesh, spec: (mesh, spec))
    monkeypatch.setattr(
        "aloe.training.checkpoints.Mesh", lambda devices, names: dict(zip(names, devices.shape, strict=True))
    )
    devices = np.array([FakeDevice(i, i // per_host) for i in range(hosts * per_host)], dtype=object)
    sizes, spec = host_share(shape, FakeMesh(devices))
    return [math.prod(sizes[name] for name in ((axis,) if isinstance(axis, str) else axis or ())) for axis in spec]


@pytest.mark.parametrize(
    ("shape", "hosts", "parts"),
    [
        ((28, 180, 180), 4, [1, 2, 2]),
        ((28, 180, 180), 16, [1, 4, 4]),
        ((28, 180, 1024), 16, [1, 2, 8]),
        ((28, 180), 4, [1, 4]),
        ((22,), 4, [2]),
        ((1,), 4, [1]),
        ((), 4, []),
        ((28, 180), 1, [1, 1]),
        ((6, 9), 12, [2, 3]),
    ],
)
def test_arrays_are_cut_over_hosts_as_evenly_as_their_axes_divide(monkeypatch, shape, hosts, parts):
    assert parts_of(monkeypatch, shape, hosts) == parts


def test_prime_factors():
    assert [prime_factors(n) for n in (1, 2, 12, 13, 64)] == [[], [2], [2, 2, 3], [13], [2] * 6]


def test_on_one_host_a_share_is_the_whole_array():
    assert host_share((28, 180), data_mesh()).spec == PartitionSpec(None, None)


def test_devices_that_jax_lists_in_another_order_save_too(monkeypatch, tmp_path):
    """As a v2-8's ring; jit rejects two device orders in one program, and shares are in the order of ids."""
    ring = [jax.devices()[place] for place in (0, 1, 2, 3, 6, 7, 4, 5)]
    monkeypatch.setattr(jax, "devices", lambda *_: ring)
    mesh = data_mesh()
    checkpoints = Checkpoints(tmp_path, mesh, settings())
    state = jax.device_put(some_state(seed=2), NamedSharding(mesh, PartitionSpec()))
    checkpoints.save(2, state)
    jax.tree.map(np.testing.assert_array_equal, checkpoints.restore(jax.eval_shape(lambda: state)), state)
    checkpoints.close()


def settings(every=2, keep=2):
    return ConfigDict(
        {"checkpoint_every_steps": every, "checkpoint_every_minutes": 60.0, "keep_checkpoints": keep},
    )


def some_state(seed=0):
    return jax.tree.map(
        lambda leaf: leaf + np.asarray(np.random.default_rng(seed).normal(size=leaf.shape), leaf.dtype),
        initial_state(Toy().model(nnx.Rngs(0)), optax.adam(1e-3)),
    )


def assert_equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_the_latest_state_comes_back_to_the_bit_and_replicated(tmp_path):
    mesh = data_mesh()
    checkpoints = Checkpoints(tmp_path / "c", mesh, settings())
    assert checkpoints.latest() is None
    for step in (2, 4, 6):
        checkpoints.save(step, some_state(seed=step))
    checkpoints.close()
    again = Checkpoints(tmp_path / "c", mesh, settings())
    assert again.latest() == 6
    restored = again.restore(jax.eval_shape(some_state))
    assert_equal(restored, some_state(seed=6))
    assert all(leaf.sharding.is_fully_replicated and leaf.sharding.mesh == mesh for leaf in jax.tree.leaves(restored))
    assert again.manager.all_steps() == [4, 6]
    again.close()


def test_what_a_crash_left_half_written_is_removed_and_the_last_whole_one_stands(tmp_path):
    checkpoints = Checkpoints(tmp_path, data_mesh(), settings())
    checkpoints.save(2, some_state(seed=2))
    checkpoints.close()
    partial = tmp_path / "4.orbax-checkpoint-tmp"
    (partial / "state").mkdir(parents=True)
    (partial / "state" / "data").write_text("half")
    again = Checkpoints(tmp_path, data_mesh(), settings())
    assert again.latest() == 2
    assert_equal(again.restore(jax.eval_shape(some_state)), some_state(seed=2))
    again.close()
    assert not partial.exists()


def test_who_only_reads_leaves_what_another_is_writing(tmp_path):
    checkpoints = Checkpoints(tmp_path, data_mesh(), settings())
    checkpoints.save(2, some_state(seed=2))
    checkpoints.close()
    partial = tmp_path / "4.orbax-checkpoint-tmp" / "state"
    partial.mkdir(parents=True)
    reader = Checkpoints(tmp_path, data_mesh(), settings(), read_only=True)
    assert reader.latest() == 2
    assert_equal(reader.restore(jax.eval_shape(some_state)), some_state(seed=2))
    reader.close()
    assert partial.exists()


def test_a_save_is_due_every_so_many_steps(tmp_path):
    checkpoints = Checkpoints(tmp_path, data_mesh(), settings(every=5))
    checkpoints.save(1, some_state())
    checkpoints.manager.wait_until_finished()
    assert [step for step in range(2, 17) if checkpoints.due(step)] == [5, 10, 15]
    checkpoints.close()


def test_a_save_is_due_when_the_clock_says_so(tmp_path):
    config = settings(every=1000)
    config.checkpoint_every_minutes = 0.0
    checkpoints = Checkpoints(tmp_path, data_mesh(), config)
    checkpoints.save(1, some_state())
    checkpoints.manager.wait_until_finished()
    assert checkpoints.due(2)
    checkpoints.close()
