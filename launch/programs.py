"""What the hosts of a slice run: Aloe's programs, connected to the machinery of the process they run in."""

import contextlib
import functools
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
from etils import epath
from jax.experimental import multihost_utils

from aloe.paths import in_bucket
from aloe.perception import encoding
from aloe.training import loop
from cluster import watchdog
from cluster.barrier import barrier
from cluster.errors import ClusterError, UnavailableError
from cluster.sole import sole_holder

LOCK = "run.lock"
BARRIER_S = 600.0
WAIT_S = 120.0  # longer than a machine that is cut off from its cluster takes to end its processes


def train(
    config: Mapping[str, Any],
    *,
    stop: Callable[[int], bool] = multihost_utils.reached_preemption_sync_point,
    who: str = "",
) -> dict[str, Any]:
    """`loop.run`, monitored by the process's watchdog, alone in the workdir, and with its compilation cache there.

    Args:
      config: as for `loop.run`.
      stop: as for `loop.run`.
      who: how this process is described to a second one in the workdir; its rank by default.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(epath.Path(config["workdir"]) / "compiled"))
    if jax.process_index() == 0:
        say_choices()
    who = who or f"rank {jax.process_index()} of {jax.process_count()}"
    return loop.run(config, stop=stop, mark=watchdog.mark, alone=functools.partial(alone, who=who))


def encode(config: Mapping[str, Any]) -> dict[str, int]:
    """`encoding.run` with a barrier that names the hosts that do not arrive."""
    return encoding.run(config, barrier=functools.partial(barrier, timeout_s=BARRIER_S))


def say_choices() -> None:
    """Prints what the model logs about its choices for this machine's devices: which path attention takes."""
    logger = logging.getLogger("aloe.model")
    if not logger.handlers:
        logger.addHandler(Printing())
        logger.setLevel(logging.INFO)
        logger.propagate = False  # Ray's workers also print what reaches the root logger


class Printing(logging.Handler):
    """Prints messages along with the program's other output, wherever that goes at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage(), flush=True)


def alone(workdir: epath.Path, who: str) -> contextlib.AbstractContextManager[None]:
    """Context manager: no other process trains in the workdir. A bucket, which has no locks, is not guarded.

    Raises:
      UnavailableError: another process does, and has not ended within WAIT_S.
    """
    if in_bucket(workdir):
        return contextlib.nullcontext()

    def refusal(holder: str) -> ClusterError:
        return UnavailableError(
            f"{workdir}: another run is in it: {holder}. Wait for that one, stop its command (or `ray job stop` its "
            "job), or name another --workdir."
        )

    return sole_holder(Path(workdir) / LOCK, who, refusal, wait_s=WAIT_S)
