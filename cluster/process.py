"""One JAX process: joins the others of its run, calls the program, and reports how that ended."""

import dataclasses
import importlib
import json
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from cluster import watchdog
from cluster.barrier import BarrierError, barrier
from cluster.errors import UnavailableError
from cluster.outcomes import Ending, Outcome
from cluster.watchdog import Mark, Patience

STOPPED = "stopped"  # if true in what a program returns, it left early because its machines told it to


@dataclasses.dataclass(frozen=True)
class Timeouts:
    """Seconds after which a run is given up.

    Ray notices at once when a host's process dies. `silence` is for a process that does not answer at all; where nobody
    polls it, JAX's own `heartbeat` aborts the others. `shutdown` is how much longer one host may run than the others
    do. `patience` is for a process that is alive but hangs.
    """

    initialization: int = 300
    silence: float = 10.0
    heartbeat: int = 30
    shutdown: int = 3600
    patience: Patience = Patience()  # noqa: RUF009 (frozen)


def run_process(
    entry: str,
    config: str,
    *,
    coordinator: Callable[[], str],
    processes: int = 1,
    rank: int = 0,
    timeouts: Timeouts = Timeouts(),
    listens: Callable[[bool], None] = lambda _: None,
    hung: Callable[[Outcome], None] = lambda _: None,
) -> Outcome:
    """Joins the other processes and calls `module:function` with the config, monitored by a watchdog.

    Args:
      entry: the program; importable here.
      config: its argument, as JSON.
      coordinator: returns the host:port of the coordinator, which is on rank 0.
      processes: how many there are.
      rank: rank of this one.
      timeouts: when to give up.
      listens: called with True once JAX catches SIGTERM, on which
        `jax.experimental.multihost_utils.reached_preemption_sync_point` becomes true, and with False before it
        stops doing so.
      hung: called with the outcome if the process hangs; when it returns, the process ends.

    Returns:
      The outcome; rank 0's has the value that the function returned, after a round trip through JSON.
    """

    def tell_hung(mark: Mark, stacks: str) -> None:
        hung(Outcome(Ending.HUNG, rank, f"stands still {mark}", stacks, exit_status=1))

    in_program = False
    others_may_be_to_blame: tuple[type[Exception], ...] = (BarrierError, UnavailableError)
    try:
        import jax  # only now, as it reads the environment of this process

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
        if processes > 1:  # an XLA error may then be due to another host that has gone
            others_may_be_to_blame += (jax.errors.JaxRuntimeError,)
        listens(True)
        watchdog.begin(timeouts.patience, tell_hung)
        module, function = entry.split(":")
        in_program = True
        value = getattr(importlib.import_module(module), function)(json.loads(config))
        left_early = isinstance(value, Mapping) and bool(value.get(STOPPED))
        value = json.loads(json.dumps(value)) if rank == 0 else None
        in_program = False
        listens(False)
        watchdog.finish()
        barrier("leave", timeouts.shutdown)
        jax.distributed.shutdown()  # rank 0 coordinates, and must leave last
    except (Exception, SystemExit) as error:
        # JAX is not shut down: that would wait for processes that hang in a collective with this one.
        return Outcome(
            status=Ending.FAILED,
            rank=rank,
            message=message_of(error),
            traceback=traceback.format_exc(),
            exit_status=exit_status_of(error),
            program_error=in_program and not isinstance(error, others_may_be_to_blame),
        )
    finally:
        watchdog.finish()
    if left_early:
        return Outcome(Ending.PREEMPTED, rank, "it was told to leave, and did", value=value)
    return Outcome(Ending.SUCCEEDED, rank, value=value)


def message_of(error: BaseException) -> str:
    """The error as one line; if it carries its own exit status, its message is meant for the user and used as it is."""
    if hasattr(error, "exit_status"):
        return str(error)
    return "".join(traceback.format_exception_only(error)).strip()


def exit_status_of(error: BaseException) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    status: Any = getattr(error, "exit_status", 1)
    return status if isinstance(status, int) else 1
