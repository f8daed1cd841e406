"""Weights of a MONet alone, without optimizer state: the format of those that come with this project.

<folder>/params/          Orbax, float32
<folder>/weights.json     sizes of the model, and how it was trained: command, data, commit, step, seed, scores
"""

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import nnx

from aloe.data.fields import field, read_json, within
from aloe.data.whole import write_whole
from aloe.errors import InputError
from aloe.perception.monet.config import MonetConfig
from aloe.perception.monet.model import Monet

FOLDER = Path(__file__).parent / "shipped"
PARAMS, RECORD = "params", "weights.json"
MARK = "commit_success.txt"  # by Orbax, for buckets: it names a folder on the machine that wrote it
# Keys of `Record.trained`: the training in words.
TOLD = {
    "command": "by which it was trained",
    "world": "the command that made what it was trained on",
    "commit": "of this repository, at the training",
    "hardware": "on which, and for how long",
}


@dataclasses.dataclass(frozen=True)
class Record:
    """What is known about weights.

    Attributes:
      model: fields of `MonetConfig`. The dtype is the one in which they encode, whatever they were trained in.
      step, seed: of the training.
      trained: the training in words, see TOLD.
      scores: on the validation split of that data, at this step; see `quality.summary`.
    """

    model: Mapping[str, Any]
    step: int
    seed: int
    trained: Mapping[str, str]
    scores: Mapping[str, float]


def names() -> list[str]:
    """Names of the weights that come with this project."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{RECORD}"))


def write(folder: Path, record: Record, params: Any) -> None:
    """Writes weights, the parameters as in a training state, whole or not at all.

    Raises:
      InputError: the folder exists already.
    """
    if folder.exists():
        raise InputError(f"{folder}: is there already; delete it, or name another one.")
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(folder.absolute() / PARAMS, jax.tree.map(np.asarray, params))
        (folder / PARAMS / MARK).unlink(missing_ok=True)
        write_whole(folder / RECORD, json.dumps(dataclasses.asdict(record), indent=1) + "\n")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def read(folder: Path) -> tuple[Record, Any]:
    """Returns what is known about weights, and the parameters on the host.

    Raises:
      InputError: the record is broken, or the parameters are damaged or not those of a model of these sizes.
    """
    path = folder / RECORD
    record = read_json(path)
    with within(path):
        kinds = {"model": dict, "step": int, "seed": int, "trained": dict, "scores": dict}
        known = Record(**{name: field(record, name, kind) for name, kind in kinds.items()})
        fields = {each.name for each in dataclasses.fields(MonetConfig)}
        if known.model.keys() != fields:
            raise InputError(f"the model's fields are {', '.join(known.model)}; they must be {', '.join(fields)}")
        config = MonetConfig(**known.model)
    abstract = jax.eval_shape(lambda: nnx.to_pure_dict(nnx.state(Monet(config, rngs=nnx.Rngs(0)), nnx.Param)))
    on_host = jax.sharding.SingleDeviceSharding(jax.local_devices(backend="cpu")[0])
    target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=on_host), abstract)
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            params = checkpointer.restore(folder.absolute() / PARAMS, target)
    except Exception as error:  # whatever a damaged file, or one of another model, raises
        told = str(error).partition("\n")[0]
        raise InputError(
            f"{folder / PARAMS}: cannot be read as the parameters of the model in {RECORD}: {told}. Restore both from "
            "the repository."
        ) from error
    return known, jax.tree.map(np.asarray, params)
