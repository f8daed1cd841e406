"""What a training run carries from step to step."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import nnx

from aloe.training.task import Task


@flax.struct.dataclass
class TrainState:
    """Parameters, optimizer state and the number of steps taken. Replicated on every device."""

    params: Any
    opt_state: Any
    step: jax.Array


def initial_state(model: nnx.Module, optimizer: optax.GradientTransformation) -> TrainState:
    params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    return TrainState(params=params, opt_state=optimizer.init(params), step=jnp.zeros((), jnp.int32))


def abstract_state(task: Task, optimizer: optax.GradientTransformation) -> TrainState:
    """Shapes and dtypes of a task's state, without computing anything: the target for `Checkpoints.restore`."""
    return jax.eval_shape(lambda: initial_state(task.model(nnx.Rngs(0)), optimizer))


def model_structure(task: Task) -> nnx.GraphDef:
    """A task's model without its parameters, which `nnx.merge` puts back in."""
    return nnx.split(nnx.eval_shape(lambda: task.model(nnx.Rngs(0))), nnx.Param)[0]


def parameter_count(params: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))
