"""A run that begins with parameters which were trained elsewhere."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from aloe.errors import InputError
from aloe.training import workdir
from aloe.training.checkpoints import Checkpoints
from aloe.training.log import RunLog
from aloe.training.optimizer import make_optimizer
from aloe.training.state import TrainState
from aloe.training.step import data_mesh


def begin_with(config: ConfigDict, params: Any, source: str) -> bool:
    """Makes of `config.workdir` a run that stands at step 0 with these parameters, and an optimizer that begins.

    It can be evaluated, and trained further.

    Args:
      config: of the run.
      params: of its model, as `TrainState` has them.
      source: where they are from, for the events of the run.

    Returns:
      False where the workdir is that already, so that nothing had to be done.

    Raises:
      InputError: the workdir holds a run of another configuration, or one that has other parameters.
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


def _equal(ours: Any, theirs: Any) -> bool:
    return jax.tree.all(jax.tree.map(np.array_equal, ours, theirs))
