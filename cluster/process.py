"""One JAX process: it joins the others of its run, calls the program, and says how that ended."""

import dataclasses
import importlib
import json
import traceback
from collections.abc import Callable
from typing import Any

from cluster.outcomes import Outcome


@dataclasses.dataclass(frozen=True)
class Timeouts:
    """Seconds after which JAX gives up: a slice that does not come together, a host that is silent, one that lags.

    A host whose process dies is noticed by Ray at once. `heartbeat` is for one that hangs; hosts that fight over few
    cores need more of it. `shutdown` is how much longer one host may run than the others.
    """

    initialization: int = 300
    heartbeat: int = 30
    shutdown: int = 3600


def run_process(
    entry: str,
    config: str,
    *,
    coordinator: Callable[[], str],
    processes: int = 1,
    rank: int = 0,
    timeouts: Timeouts = Timeouts(),
    listens: Callable[[bool], None] = lambda _: None,
) -> Outcome:
    """Joins the other processes and calls `module:function` with the config.

    Args:
      entry: the program; importable here.
      config: its argument, as JSON.
      coordinator: asked for host:port, where rank 0 coordinates.
      processes: how many there are.
      rank: of this one.
      timeouts: JAX's.
      listens: told True once JAX catches SIGTERM, on which
        `jax.experimental.multihost_utils.reached_preemption_sync_point` becomes true, and False when it does no more.

    Returns:
      The outcome; rank 0's has the value that the function returned, as JSON gives it back.
    """
    in_program = False
    try:
        import jax  # only now: it reads the environment of this process

        address = coordinator()
        jax.distributed.initialize(
            address,
            processes,
            rank,
            cluster_detection_method="deactivate",
            initialization_timeout=timeouts.initialization,
            heartbeat_timeout_seconds=timeouts.heartbeat,
            shutdown_timeout_seconds=timeouts.shutdown,
            coordinator_bind_address=address,
        )
        listens(True)
        module, function = entry.split(":")
        in_program = True
        value = getattr(importlib.import_module(module), function)(json.loads(config))
        value = json.loads(json.dumps(value)) if rank == 0 else None
        in_program = False
        listens(False)
        jax.distributed.shutdown()  # waits for the other processes: rank 0 coordinates, and must leave last
    except (Exception, SystemExit) as error:
        # JAX stays up: a shutdown would wait for processes that hang in a collective with this one.
        return Outcome(
            status="failed",
            rank=rank,
            message=message_of(error),
            traceback=traceback.format_exc(),
            exit_status=exit_status_of(error),
            program_error=in_program,
        )
    return Outcome(status="succeeded", rank=rank, value=value)


def message_of(error: BaseException) -> str:
    """The error as a line; one that carries its own exit status is meant for the user, and speaks for itself."""
    if hasattr(error, "exit_status"):
        return str(error)
    return "".join(traceback.format_exception_only(error)).strip()


def exit_status_of(error: BaseException) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    status: Any = getattr(error, "exit_status", 1)
    return status if isinstance(status, int) else 1
