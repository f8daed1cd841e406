"""Starts a run from parameters trained elsewhere: all of them, or only those of its perception."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax.sharding import NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from aloe.errors import InputError
from aloe.training import workdir
from aloe.training.checkpoints import Checkpoints
from aloe.training.log import RunLog
from aloe.training.optimizer import make_optimizer
from aloe.training.state import TrainState
from aloe.training.step import data_mesh

PERCEPTION = "perception"


def begin_with(config: ConfigDict, params: Any, source: str) -> bool:
    """Makes `config.workdir` a run at step 0 with these parameters and a fresh optimizer state.

    The run can be evaluated, and trained further.

    Args:
      config: the run's configuration.
      params: the parameters of its model, as in `TrainState`.
      source: where they come from, for the run's events.

    Returns:
      False if the workdir already is that run, so that nothing had to be done.

    Raises:
      InputError: the workdir holds a run with another configuration or other parameters, or one past step 0.
    """
    folder = workdir.claim(config)
    mesh = data_mesh()
    state = TrainState(
        params=params, opt_state=make_optimizer(config.optimizer).init(params), step=jnp.zeros((), jnp.int32)
    )
    checkpoints = Checkpoints(folder / workdir.CHECKPOINTS, mesh, config.training)
    try:
        step = checkpoints.latest()
        if step is None:
            checkpoints.save(0, jax.device_put(state, NamedSharding(mesh, PartitionSpec())))
        elif step or not _equal(checkpoints.restore(jax.eval_shape(lambda: state)).params, params):
            raise InputError(
                f"{folder}: holds a run of other parameters, {step} steps long. Name another --workdir, or delete it."
            )
    finally:
        checkpoints.close()
    if step is None:
        log = RunLog(folder, 0, write=True)
        log.event("import", step=0, source=source)
        log.close()
    return step is None


def carried_over(config: ConfigDict, params: Any) -> dict[str, Any]:
    """What a fresh run takes from the latest checkpoint of `config.perception.pretrained`: {"perception": parameters}.

    Empty if the configuration names no run. This is how the ResNet for superpixels is first trained with Aloe on
    another data set (paper §3.1). Its training continues in the fresh run.

    Args:
      config: the fresh run's configuration.
      params: the parameters of its model, or their shapes.

    Raises:
      InputError: there is no such run, it has no checkpoint, either run has no perception, or the parameters differ
        from those of the model in name or shape.
    """
    source = config.get(PERCEPTION, {}).get("pretrained")
    if not source:
        return {}
    told = f"config.perception.pretrained = {source}"
    if PERCEPTION not in params:
        raise InputError(f"{told}: this model takes stored latents, and has no perception; leave the field empty.")
    theirs = workdir.read(epath.Path(source))
    checkpoints = Checkpoints(epath.Path(source) / workdir.CHECKPOINTS, data_mesh(), theirs.training, read_only=True)
    if checkpoints.latest() is None:
        raise InputError(f"{told}: that run has no checkpoint yet; train it first.")
    carried = checkpoints.part(PERCEPTION)
    checkpoints.close()
    if carried is None:
        raise InputError(f"{told}: that run's model takes stored latents, and has no perception; name one that has.")
    theirs_by_name, ours_by_name = _by_name(carried), _by_name(params[PERCEPTION])
    found, wanted = ({name: leaf.shape for name, leaf in each.items()} for each in (theirs_by_name, ours_by_name))
    differences = [
        f"{name} is {found.get(name, 'absent')} there and {wanted.get(name, 'absent')} here"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]
    if differences:
        raise InputError(
            f"{told}: its perception is another one: {'; '.join(differences)}. Take its config.perception and "
            "config.model.latent, or name another run."
        )
    structure = jax.tree.structure(params[PERCEPTION])
    return {PERCEPTION: jax.tree.unflatten(structure, [theirs_by_name[name] for name in ours_by_name])}


def _by_name(params: Any) -> dict[str, Any]:
    """Leaves by path, in tree order."""
    flat, _ = jax.tree.flatten_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in flat}


def _equal(ours: Any, theirs: Any) -> bool:
    return jax.tree.all(jax.tree.map(np.array_equal, ours, theirs))
