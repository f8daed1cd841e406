"""CLEVRER trains with every masking scheme and every loss."""

import functools
import itertools

import jax
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from aloe.data.streams import host_batches
from aloe.tasks.clevrer import task as clevrer
from aloe.tasks.clevrer.task import AUXILIARY
from aloe.training.evaluation import global_batch
from aloe.training.state import initial_state
from aloe.training.step import train_step
from tests.tasks.clevrer.encoded import settings
from tests.training.test_step import mesh_of

MASKS = ("one_object_per_frame", "uniform", "predict_objects", "predict_scenes", "infill_objects", "infill_scenes")
LOSSES = (
    {"loss": "l2"},
    *(
        {"loss": "contrastive", "negatives": negatives, "similarity": similarity, "temperature": 0.5}
        for negatives, similarity in itertools.product(("sequence", "frame"), ("dot", "cosine"))
    ),
)


def task_of(root, mask, loss):
    fields = {f"objective.{name}": value for name, value in {"mask": mask, "buffer": 1, **loss}.items()}
    sizes = {"model.frames": 5, "model.layers": 1, "model.dropout": 0.0, "model.loop": "unrolled"}
    task = clevrer.make(settings(root, sizes | fields))
    task.loss_weights = {AUXILIARY: 1.0}
    return task


@pytest.fixture(scope="module")
def prepare(root):
    """(mask, loss) → the training step with the auxiliary loss alone, and the state and batch that it takes."""
    mesh, optimizer, task = mesh_of(2), optax.sgd(1e-3), task_of(root, MASKS[0], LOSSES[0])
    model = task.model(nnx.Rngs(0))
    batch = global_batch(next(host_batches(task.streams(), first_step=0, host=0, hosts=1)), mesh)

    def prepared(mask, loss):
        step = train_step(task_of(root, mask, loss), nnx.split(model, nnx.Param)[0], optimizer, mesh, seed=0)
        state = jax.device_put(initial_state(model, optimizer), NamedSharding(mesh, PartitionSpec()))
        return step, state, batch

    return prepared


@pytest.mark.parametrize(
    ("mask", "loss"), [("uniform", LOSSES[1]), ("predict_scenes", LOSSES[0]), ("infill_objects", LOSSES[4])]
)
def test_a_step_moves_f_and_the_transformer_alone(prepare, mask, loss):
    step, state, batch = prepare(mask, loss)
    before = jax.device_get(state.params)
    after, parts = jax.device_get(step(state, batch))
    assert parts[AUXILIARY].compute() > 0
    moved = jax.tree.map(lambda one, other: bool(np.any(one != other)), before, after.params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after.params))
    assert any(jax.tree.leaves(moved["tower"]))
    assert all(jax.tree.leaves(moved["infill_map"]))
    assert not any(jax.tree.leaves((moved["embedding"], moved["heads"])))


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: "-".join(map(str, loss.values())))
@pytest.mark.parametrize("mask", MASKS)
def test_any_mask_goes_with_any_loss(prepare, mask, loss):
    """The step is traced, not compiled; the new state has the shapes and types of the old one."""
    step, state, batch = prepare(mask, loss)
    after, parts = jax.eval_shape(step, state, batch)
    shape_and_type = functools.partial(jax.tree.map, lambda leaf: (leaf.shape, leaf.dtype))
    assert shape_and_type(after) == shape_and_type(state)
    assert parts[AUXILIARY].total.dtype == np.float32
