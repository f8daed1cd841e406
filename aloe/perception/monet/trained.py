"""A trained MONet for encoding: the latest checkpoint of a run, or weights that come with this project."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from flax import nnx
from ml_collections import ConfigDict

from aloe.errors import InputError, nearest
from aloe.paths import absolute
from aloe.perception.monet import weights
from aloe.perception.monet.config import MonetConfig
from aloe.perception.monet.model import Monet
from aloe.training import workdir
from aloe.training.checkpoints import Checkpoints
from aloe.training.optimizer import make_optimizer
from aloe.training.state import initial_state
from aloe.training.step import data_mesh


class Trained(NamedTuple):
    """A MONet's configuration and its parameters, on the host.

    `description` is JSON that distinguishes it from every other one: what a latents store records about its encoder.
    """

    config: MonetConfig
    params: Any
    description: dict[str, Any]


def read(checkpoint: str) -> Trained:
    """Reads what `--checkpoint` names: the workdir of a run, or weights that come with this project, by their name.

    A folder with the same name as such weights is given with a slash: `./small`.

    Raises:
      InputError: it is neither, the run is not of MONet or has no checkpoint, or the weights are damaged.
    """
    if checkpoint in weights.names():
        return shipped(weights.FOLDER / checkpoint)
    run = epath.Path(checkpoint)
    if not run.is_dir():
        raise InputError(
            f"{checkpoint}: neither the workdir of a run nor weights that come with Aloe"
            f"{nearest(run.name, weights.names())}"
        )
    return of_run(run)


def located(checkpoint: str) -> str:
    """`checkpoint` for a process that runs elsewhere: a name stays as it is, a folder becomes absolute."""
    return checkpoint if checkpoint in weights.names() else str(absolute(epath.Path(checkpoint)))


def shipped(folder: Path) -> Trained:
    """Reads the weights in a folder. Raises InputError if they are damaged, or of another model than they say."""
    record, params = weights.read(folder)
    config = MonetConfig(**record.model)
    return Trained(config, params, description(config, params, record.step) | {"weights": folder.name})


def of_run(run: epath.Path) -> Trained:
    """Restores the latest checkpoint of the run in a workdir. All hosts of a slice restore it together.

    Raises:
      InputError: there is no such run, it is not of MONet, it has no checkpoint, or one that is damaged or of another
        model than its configuration says.
    """
    resolved = run_config(run)
    config = MonetConfig(**resolved.model)
    checkpoints = Checkpoints(run / workdir.CHECKPOINTS, data_mesh(), resolved.training, read_only=True)
    step = checkpoints.latest()
    if step is None:
        raise InputError(f"{run}: no checkpoint yet; train first, with python launch/train.py --workdir={run}.")
    optimizer = make_optimizer(resolved.optimizer)
    abstract = jax.eval_shape(lambda: initial_state(Monet(config, rngs=nnx.Rngs(0)), optimizer))
    try:
        restored = checkpoints.restore(abstract).params
    except ValueError as error:  # from Orbax and tensorstore alike
        told = str(error).partition(" [")[0]  # without the specification that tensorstore appends
        raise InputError(
            f"{run / workdir.CHECKPOINTS / str(step)}: cannot be read as a checkpoint of the model in "
            f"{run / workdir.CONFIG}: {told} Restore both, or name another run."
        ) from error
    finally:
        checkpoints.close()
    params = jax.tree.map(lambda leaf: np.asarray(leaf.addressable_data(0)), restored)
    return Trained(config, params, description(config, params, step))


def run_config(run: epath.Path) -> ConfigDict:
    """The configuration of a run. Raises InputError if there is none, or it is not of MONet."""
    config = workdir.read(run)
    if config.task != "monet":
        raise InputError(f"{run}: a run of --task={config.task}, not of monet; name the workdir of one that is.")
    return config


def description(config: MonetConfig, params: Any, step: int) -> dict[str, Any]:
    """The description of a MONet after `step` steps."""
    sizes = {"picture": config.size, "slots": config.slots, "latent": config.latent}
    return {"name": "monet", "step": step, "checksum": checksum(params), **sizes}


def checksum(params: Any) -> str:
    """Checksum of the values of all parameters, in the order of their paths."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(params):
        digest.update(np.asarray(jax.device_get(leaf), jnp.float32.dtype).tobytes())
    return digest.hexdigest()[:16]
