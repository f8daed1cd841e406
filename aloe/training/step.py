"""The training step and the prediction step: pure functions, data-parallel via `shard_map` over the mesh axis "data".

Randomness follows examples: whatever a step draws for an example is keyed by (seed, step, stream, position in the
global batch), so masks, slot orders and dropout do not depend on the number of devices, hosts or microbatches.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
from clu import metrics
from flax import nnx
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P

from aloe.training.state import TrainState
from aloe.training.task import Batch, Keys, Parts, Task

DATA = "data"


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh with one axis, "data", over devices in the given order; by default over those of all hosts, host by host.

    `jax.make_mesh` may reorder devices to suit the network: in a ring on a v2-8, across hosts on a v5e. But a host's
    rows of a batch must be contiguous, and checkpoints shard the state in the same order.
    """
    if devices is None:
        devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(devices), (DATA,), axis_types=(AxisType.Auto,))


def train_step(
    task: Task,
    graphdef: nnx.GraphDef,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    *,
    seed: int,
    accumulation: int = 1,
) -> jax.stages.Wrapped:
    """Builds the jitted step (state, global batch) → (state, parts).

    The loss is Σ_p weight_p · sum_p / count_p with sums and counts over the whole global batch, so that it is the same
    for any number of devices and microbatches, even where the counts of a part differ between them.

    Args:
      task: the task whose parts make up the loss.
      graphdef: of the model whose parameters the state holds.
      optimizer: applied to the gradient of the global loss.
      mesh: has the axis "data"; every stream's batch must be divisible by its size times `accumulation`.
      seed: the run's seed.
      accumulation: microbatches that each device runs one after the other.

    Returns:
      The step. Its state argument is donated. Parts are sums and counts over the global batch, plus `gradient_norm`.
    """

    def shard_step(state: TrainState, batch: Batch) -> tuple[TrainState, Parts]:
        step_key = jax.random.fold_in(jax.random.key(seed), state.step)
        keys = example_keys(step_key, batch)
        counts = summed_over_devices(task.counts(batch))

        def loss(params: Any, batch: Batch, keys: Keys) -> tuple[jax.Array, Parts]:
            parts = task.parts(nnx.merge(graphdef, params), batch, keys, step_key)
            weighted = [weight * parts[name].total / counts[name] for name, weight in task.loss_weights.items()]
            return sum(weighted, start=jnp.zeros(())), parts

        # Without the cast, the gradient of a replicated parameter is already summed over devices, and again below.
        params = jax.tree.map(lambda x: jax.lax.pcast(x, DATA, to="varying"), state.params)
        gradient = accumulated(jax.grad(loss, has_aux=True), accumulation)
        grads, parts = summed_over_devices(gradient(params, batch, keys))
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        parts["gradient_norm"] = metrics.Average(total=optax.tree.norm(grads), count=jnp.ones(()))
        return TrainState(optax.apply_updates(state.params, updates), opt_state, state.step + 1), parts

    sharded = jax.shard_map(shard_step, mesh=mesh, in_specs=(P(), P(DATA)), out_specs=(P(), P()))
    return jax.jit(sharded, donate_argnums=0)


def summed_over_devices(tree: Any) -> Any:
    """Sums every leaf over the mesh in one all-reduce: XLA on CPU would issue one per leaf, each with its own wait."""
    flat, unravel = jax.flatten_util.ravel_pytree(tree)
    return unravel(jax.lax.psum(flat, DATA))


def accumulated(gradient: Callable, microbatches: int) -> Callable:
    """`gradient(params, batch, keys)`, run over microbatches of the rows in turn and summed."""
    if microbatches == 1:
        return gradient

    def summed(params: Any, batch: Batch, keys: Keys) -> Any:
        split = jax.tree.map(lambda x: x.reshape(microbatches, x.shape[0] // microbatches, *x.shape[1:]), (batch, keys))

        def body(total: Any, microbatch: Any) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, gradient(params, *microbatch)), None

        shapes = jax.eval_shape(lambda first: gradient(params, *first), jax.tree.map(lambda x: x[0], split))
        zeros = jax.tree.map(lambda x: jax.lax.pcast(jnp.zeros(x.shape, x.dtype), DATA, to="varying"), shapes)
        return jax.lax.scan(body, zeros, split)[0]

    return summed


def example_keys(step_key: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """One key per local example and stream, folded from the step's key, stream and position in the global batch."""
    keys = {}
    for number, (name, stream) in enumerate(sorted(batch.items())):
        stream_key = jax.random.fold_in(step_key, number)
        rows = jax.tree.leaves(stream)[0].shape[0]
        places_B = jax.lax.axis_index(DATA) * rows + jnp.arange(rows)
        keys[name] = jax.vmap(jax.random.fold_in, (None, 0))(stream_key, places_B)
    return keys


def predict_step(task: Task, group: str, graphdef: nnx.GraphDef, mesh: Mesh) -> jax.stages.Wrapped:
    """Builds the jitted (params, global batch of a group) → predictions, sharded over the examples."""

    def shard_predict(params: Any, batch: Mapping[str, jax.Array]) -> jax.Array:
        return task.predict(nnx.merge(graphdef, params), group, batch)

    return jax.jit(jax.shard_map(shard_predict, mesh=mesh, in_specs=(P(), P(DATA)), out_specs=P(DATA)))
