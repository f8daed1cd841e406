"""A training run that the benchmarks can time: task, state, batch and compiled step, on chosen devices."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grain
import jax
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from aloe import tasks
from aloe.data.streams import host_batches
from aloe.model.config import ModelConfig
from aloe.training.evaluation import Evaluator, global_batch
from aloe.training.optimizer import make_optimizer
from aloe.training.state import TrainState, abstract_state, initial_state, model_structure
from aloe.training.step import DATA, data_mesh, predict_step, train_step
from aloe.training.task import Task
from benchmarks.options import streams
from benchmarks.workloads import workload


@dataclasses.dataclass(frozen=True)
class Run:
    """What a step needs, for a configuration whose data exists."""

    config: ConfigDict
    task: Task
    mesh: Mesh
    optimizer: optax.GradientTransformation

    def fresh_state(self) -> TrainState:
        """The initial state, replicated over the mesh."""

        def fresh() -> TrainState:
            return initial_state(self.task.model(nnx.Rngs(0)), self.optimizer)

        return jax.jit(fresh, out_shardings=NamedSharding(self.mesh, PartitionSpec()))()

    def state_shapes(self) -> TrainState:
        return with_sharding(abstract_state(self.task, self.optimizer), NamedSharding(self.mesh, PartitionSpec()))

    def batch(self) -> Any:
        """The first global batch, on the devices."""
        return global_batch(next(host_batches(self.task.streams(), first_step=0, host=0, hosts=1)), self.mesh)

    def batch_shapes(self) -> Any:
        return {
            name: self.rows_shapes(stream.dataset, stream.batch_size) for name, stream in self.task.streams().items()
        }

    def rows_shapes(self, dataset: grain.MapDataset, rows: int) -> Any:
        """Shapes of so many examples of a data set, sharded over all devices."""
        shapes = {name: jax.ShapeDtypeStruct((rows, *x.shape), x.dtype) for name, x in dataset[0].items()}
        return with_sharding(shapes, NamedSharding(self.mesh, PartitionSpec(DATA)))

    def lowered(self) -> jax.stages.Lowered:
        """The step (state, batch) → (state, parts), freshly traced."""
        graphdef, accumulation = model_structure(self.task), self.config.batch.accumulation
        step = train_step(self.task, graphdef, self.optimizer, self.mesh, seed=0, accumulation=accumulation)
        return step.lower(self.state_shapes(), self.batch_shapes())

    def groups(self) -> dict[str, grain.MapDataset]:
        """The groups of the validation split that are predicted, by name."""
        return dict(self.task.evaluation("validation"))

    def lowered_prediction(self, group: str) -> jax.stages.Lowered:
        """The prediction step (params, batch) → predictions of a group, freshly traced."""
        graphdef = model_structure(self.task)
        rows = Evaluator(self.task, graphdef, self.mesh, self.config.batch.evaluation).batch_size
        step = predict_step(self.task, group, graphdef, self.mesh)
        return step.lower(self.state_shapes().params, self.rows_shapes(self.groups()[group], rows))


def with_data(config: ConfigDict, folder: Path, videos: int = 8) -> ConfigDict:
    """The configuration, on a data folder written for it."""
    config = config.copy_and_resolve_references()
    config.data.root = str(workload(config.task).write_data(folder, videos, config))
    return config


def make_run(config: ConfigDict, devices: Sequence[Any]) -> Run:
    """A run of the configuration's batch on these devices."""
    task, optimizer = tasks.part(config.task, "task").make(config), make_optimizer(config.optimizer)
    return Run(config, task, data_mesh(devices), optimizer)


def model_config(config: ConfigDict) -> ModelConfig:
    """The model of a task's configuration."""
    return tasks.part(config.task, "task").model_config(config)


def with_batch(config: ConfigDict, part: int, whole: int) -> ConfigDict:
    """The configuration with `part` of `whole` of each stream's batch, at least one example per microbatch."""
    config = config.copy_and_resolve_references()
    least = config.batch.accumulation
    for name in streams(config):
        config.batch[name] = max(least, config.batch[name] * part // whole // least * least)
    return config


def repeated(compiled: jax.stages.Compiled, state: TrainState, batch: Any) -> Callable[[], Any]:
    """A call that takes the next step each time, always on the same batch."""
    states = [state]

    def call() -> Any:
        states[0], parts = compiled(states[0], batch)
        return parts

    return call


def with_sharding(shapes: Any, sharding: NamedSharding) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), shapes)
