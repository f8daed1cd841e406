"""The sharded step against a plain one on a single device; evaluation at any batch size."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType, Mesh

from aloe.data.streams import host_batches
from aloe.training.evaluation import Evaluator, global_batch
from aloe.training.state import initial_state
from aloe.training.step import DATA, data_mesh, example_keys, train_step
from tests.training.toy import BATCH, Toy


def mesh_of(devices):
    return jax.make_mesh((devices,), (DATA,), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices])


def first_batches(task, steps):
    reader = host_batches(task.streams(), first_step=0, host=0, hosts=1)
    return [next(reader) for _ in range(steps)]


def run(task, optimizer, devices, accumulation, steps=3):
    """State and parts after some steps of the sharded program."""
    mesh = mesh_of(devices)
    model = task.model(nnx.Rngs(0))
    graphdef = nnx.split(model, nnx.Param)[0]
    state = initial_state(model, optimizer)
    step = train_step(task, graphdef, optimizer, mesh, seed=0, accumulation=accumulation)
    for batch in first_batches(task, steps):
        state, parts = step(state, global_batch(batch, mesh))
    return jax.device_get((state, parts))


def test_the_gradient_is_that_of_the_mean_over_the_global_batch():
    """By hand, without shard_map: plain SGD moves the parameters by the learning rate times the gradient."""
    task, rate = Toy(), 0.1
    model = task.model(nnx.Rngs(0))
    graphdef, params = nnx.split(model, nnx.Param)
    (batch,) = first_batches(task, 1)

    def loss(params):
        model = nnx.merge(graphdef, params)
        first = (model(batch["a"]["x"])[:, 0] - batch["a"]["y"]) ** 2
        second = (model(batch["b"]["x"])[:, 1] - batch["b"]["y"]) ** 2
        return jnp.mean(first) + 0.5 * jnp.sum(second * batch["b"]["exists"]) / jnp.sum(batch["b"]["exists"])

    value, gradient = jax.value_and_grad(loss)(nnx.to_pure_dict(params))
    expected = jax.tree.map(lambda p, g: p - rate * g, nnx.to_pure_dict(params), gradient)
    state, parts = run(task, optax.sgd(rate), devices=8, accumulation=1, steps=1)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), state.params, expected)
    np.testing.assert_allclose(sum(w * parts[n].compute() for n, w in task.loss_weights.items()), value, rtol=1e-5)
    np.testing.assert_allclose(parts["gradient_norm"].compute(), optax.tree.norm(gradient), rtol=1e-5)


@pytest.mark.parametrize(("devices", "accumulation"), [(1, 4), (2, 2), (4, 4), (8, 1), (8, 2)])
def test_devices_and_microbatches_change_nothing(devices, accumulation):
    """Even with noise drawn per example, and with parts whose counts differ between devices."""
    reference = run(Toy(noise=0.5), optax.adam(0.01), devices=1, accumulation=1)
    other = run(Toy(noise=0.5), optax.adam(0.01), devices, accumulation)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), reference, other)


def test_keys_follow_examples_and_differ_between_examples_steps_streams_and_seeds():
    batch = first_batches(Toy(), 1)[0]

    def keys_on(devices, seed=0, step=7):
        mesh = mesh_of(devices)
        spec = jax.sharding.PartitionSpec(DATA)
        step_key = jax.random.fold_in(jax.random.key(seed), step)
        keys = jax.shard_map(lambda b: example_keys(step_key, b), mesh=mesh, in_specs=spec, out_specs=spec)
        return {name: np.asarray(jax.random.key_data(key)) for name, key in keys(global_batch(batch, mesh)).items()}

    one = keys_on(1)
    for devices in (2, 8):
        jax.tree.map(np.testing.assert_array_equal, one, keys_on(devices))
    drawn = [*one["a"], *one["b"], *keys_on(1, step=8)["a"], *keys_on(1, seed=1)["a"]]
    assert len({tuple(key) for key in drawn}) == 4 * BATCH


def test_the_mesh_has_the_devices_of_each_host_in_a_block(monkeypatch):
    """Each host's rows of a batch are contiguous, in host order, whatever order JAX lists its devices in."""
    devices = [types.SimpleNamespace(id=number, process_index=number // 2 % 4) for number in range(16)]
    monkeypatch.setattr(jax, "devices", lambda: devices[::-1])
    monkeypatch.setattr("aloe.training.step.Mesh", lambda devices, names, **_: devices)
    monkeypatch.setattr(jax, "make_mesh", lambda *_, **__: np.array(jax.devices()))
    assert [(d.process_index, d.id) for d in data_mesh()] == sorted((d.process_index, d.id) for d in devices)


@pytest.mark.parametrize("batch_size", [1, 5, 8, 40])
def test_predictions_are_those_of_each_example_alone_at_any_batch_size(batch_size):
    task = Toy()
    model = task.model(nnx.Rngs(0))
    graphdef, params = nnx.split(model, nnx.Param)
    evaluator = Evaluator(task, graphdef, Mesh(np.array(jax.devices()), (DATA,)), batch_size)
    predictions = evaluator.predictions(params, "validation")["only"]
    dataset = task.evaluation("validation")["only"]
    alone = [float(task.predict(model, "only", {"x": dataset[i]["x"][None]})[0]) for i in range(len(dataset))]
    assert predictions.shape == (13,)
    np.testing.assert_allclose(predictions, alone, rtol=1e-5)
