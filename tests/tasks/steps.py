"""Training steps of any task, on some of the fake devices."""

import jax
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from aloe.training.evaluation import global_batch
from aloe.training.state import initial_state
from aloe.training.step import train_step
from tests.training.test_step import mesh_of


def after_steps(task, batches, optimizer, devices, accumulation=1):
    """Parts of the steps, and the parameters after them."""
    mesh, model = mesh_of(devices), task.model(nnx.Rngs(0))
    graphdef = nnx.split(model, nnx.Param)[0]
    state = jax.device_put(initial_state(model, optimizer), NamedSharding(mesh, PartitionSpec()))
    step = train_step(task, graphdef, optimizer, mesh, seed=0, accumulation=accumulation)
    seen = []
    for batch in batches:
        state, parts = step(state, global_batch(batch, mesh))
        seen.append(jax.device_get(parts))
    return seen, jax.device_get(state.params)
