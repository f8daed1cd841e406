"""Predictions for a whole split, sharded over devices and hosts, exact for any size, and the table made from them."""

import json
from collections.abc import Mapping
from typing import Any

import grain
import jax
import numpy as np
from etils import epath
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from aloe import tasks
from aloe.data.streams import Example, Stream, host_batches
from aloe.data.whole import write_whole
from aloe.errors import InputError
from aloe.training import workdir
from aloe.training.checkpoints import Checkpoints
from aloe.training.optimizer import make_optimizer
from aloe.training.state import abstract_state, model_structure
from aloe.training.step import DATA, data_mesh, predict_step
from aloe.training.task import Task


class Evaluator:
    """Holds a task's compiled prediction steps, one per group of examples."""

    def __init__(self, task: Task, graphdef: nnx.GraphDef, mesh: Mesh, batch_size: int) -> None:
        """`batch_size` examples are predicted at once, over all devices (rounded up to a multiple of their number)."""
        self.task = task
        self.graphdef = graphdef
        self.mesh = mesh
        self.batch_size = -(-batch_size // mesh.size) * mesh.size
        self.steps: dict[str, Any] = {}

    def predictions(self, params: Any, split: str, *, shuffled: bool = False) -> dict[str, np.ndarray]:
        """Predictions for every example of a split, in order, by group; the same on every host."""
        groups = self.task.evaluation(split, shuffled=shuffled)
        return {name: self.predict_group(params, name, dataset) for name, dataset in groups.items()}

    def predict_group(self, params: Any, group: str, dataset: grain.MapDataset) -> np.ndarray:
        if group not in self.steps:
            self.steps[group] = predict_step(self.task, group, self.graphdef, self.mesh)
        batches = -(-len(dataset) // self.batch_size)
        # The last batch is padded with copies of the last example, whose predictions are cut off below.
        padded = grain.MapDataset.range(batches * self.batch_size).map(lambda i: dataset[min(i, len(dataset) - 1)])
        stream = Stream(padded, self.batch_size)
        host, hosts = jax.process_index(), jax.process_count()
        predictions = [
            self.steps[group](params, global_batch(batch[group], self.mesh))
            for batch in host_batches({group: stream}, first_step=0, host=host, hosts=hosts)
        ]
        gathered = multihost_utils.process_allgather(predictions, tiled=True)
        return np.concatenate(gathered)[: len(dataset)] if gathered else np.empty(0)


def global_batch(batch: Mapping[str, Example] | Example, mesh: Mesh) -> Any:
    """This host's rows of a batch as arrays sharded over the mesh, first axis over "data"."""
    sharding = NamedSharding(mesh, PartitionSpec(DATA))
    return jax.tree.map(lambda rows: jax.make_array_from_process_local_data(sharding, rows), batch)


def hand_in(path: epath.Path, answers: Any) -> epath.Path:
    """Writes answers in the format of their data set, a string verbatim and anything else as JSON; returns the file."""
    text = isinstance(answers, str)
    path = path.with_name(f"{path.name}.{'txt' if text else 'json'}")
    write_whole(path, answers if text else json.dumps(answers))
    return path


def run(config: Mapping[str, Any]) -> dict[str, Any]:
    """Prints the table of a split for the latest checkpoint of a run, and writes it to the workdir.

    For a split without labels it writes the answers instead, in the official format.

    Args:
      config: the run's, as stored in its workdir, plus `split`, `hard` as in `Task.comparison`, and `predictions`,
        whether to write the predictions of a labelled split too; the same on every host.

    Returns:
      `step` of the checkpoint and `scores`, which are empty for a split without labels.

    Raises:
      InputError: the workdir has no checkpoint, or files of the split are missing or broken.
    """
    resolved = ConfigDict(config)
    split, folder = resolved.split, epath.Path(resolved.workdir)
    mesh = data_mesh()
    labelled = split not in tasks.part(resolved.task, "files").UNLABELLED
    splits = dict.fromkeys(("train", split) if labelled else (split,))  # controls are computed from the training split
    task: Task = tasks.part(resolved.task, "task").make(resolved, tuple(splits))
    compare = task.comparison(split, hard=resolved.hard) if labelled else None
    graphdef = model_structure(task)
    checkpoints = Checkpoints(folder / workdir.CHECKPOINTS, mesh, resolved.training, read_only=True)
    step = checkpoints.latest()
    if step is None:
        raise InputError(f"{folder}: no checkpoint yet; train first, with python launch/train.py --workdir={folder}.")
    state = checkpoints.restore(abstract_state(task, make_optimizer(resolved.optimizer)))
    checkpoints.close()

    evaluator = Evaluator(task, graphdef, mesh, resolved.batch.evaluation)
    predictions = evaluator.predictions(state.params, split)
    title = f"{resolved.task}, {split} split, after {step} steps"
    main = jax.process_index() == 0
    if compare is None:
        if main:
            path = hand_in(folder / f"submission-{step}", task.submission(split, predictions))
            print(f"\n{title}: the answers are in {path}; the split has none to score them by.\n", flush=True)
        return {"step": step, "scores": {}}
    if main and resolved.get("predictions", False):
        hand_in(folder / f"predictions-{split}-{step}", task.submission(split, predictions))
    table, controls = compare(predictions, evaluator.predictions(state.params, split, shuffled=True))
    scores = task.scores(split, predictions)
    if main:
        print(f"\n{title}\n\n{table}\n", flush=True)
        numbers = dict(task.diagnosis(split, predictions).numbers)
        record = {"step": step, "split": split, **scores, "controls": controls}
        record |= {"diagnosis": numbers} if numbers else {}
        write_whole(folder / f"{split}-{step}.json", json.dumps(record, indent=2))
        write_whole(folder / f"{split}-{step}.txt", f"{title}\n\n{table}\n")
    return {"step": step, "scores": scores}
