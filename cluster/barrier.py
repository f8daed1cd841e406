"""Waits for the other processes of a run, and reports which ones are missing."""

from jax._src import distributed  # JAX has no public API for its coordination client
from jax.errors import JaxRuntimeError


class BarrierError(Exception):
    """Some processes did not reach a barrier in time."""


def barrier(name: str, timeout_s: float) -> None:
    """Returns when all processes of the run have called this with the same name.

    Args:
      name: must be used only once per run.
      timeout_s: how long to wait.

    Raises:
      BarrierError: some have not arrived by then; the message names their ranks.
      JaxRuntimeError: the coordinator is gone.
    """
    state = distributed.global_state
    if state.client is None or state.num_processes == 1:
        return
    folder = f"barrier/{name}"
    state.client.key_value_set(f"{folder}/{state.process_id}", "here")
    try:
        state.client.wait_at_barrier(f"{folder}/all", round(1000 * timeout_s))
    except JaxRuntimeError as error:
        here = {int(key.rpartition("/")[2]) for key, _ in state.client.key_value_dir_get(folder)}
        missing = sorted(set(range(state.num_processes)) - here)
        if not missing:  # it was not a timeout
            raise
        ranks = ", ".join(map(str, missing))
        raise BarrierError(f"barrier {name!r}: after {timeout_s:.0f} s there is no sign of rank {ranks}.") from error
