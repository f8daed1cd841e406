"""One host of a slice: a Ray actor whose process is one JAX process, and the Outcome of what it ran."""

import dataclasses
import importlib
import json
import os
import signal
import socket
import threading
import traceback
from typing import Any, Literal

import ray

CONTROL = "control"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended, on one host or as a whole.

    Attributes:
      status: "succeeded"; "stopped", if it was asked to stop and did; "failed".
      rank: the host that this is about; of a whole run, the host that failed first, or None.
      message: one line for the user.
      traceback: where it failed, or "".
      exit_status: for the process that asked for the run: 0; 128 + the signal that stopped it; or of a failure the
        `exit_status` that the exception carries, else 1.
      value: what the function returned on rank 0.
      lost: whether the process died under the program, rather than the program raising an exception.
      collateral: failures of other hosts that came with this one.
    """

    status: Literal["succeeded", "stopped", "failed"]
    rank: int | None = None
    message: str = ""
    traceback: str = ""
    exit_status: int = 0
    value: Any = None
    lost: bool = False
    collateral: tuple["Outcome", ...] = ()


@dataclasses.dataclass(frozen=True)
class Timeouts:
    """Seconds after which JAX gives up: a slice that does not come together, a host that is silent, one that lags.

    A host whose process dies is noticed by Ray at once. `heartbeat` is for one that hangs; hosts that fight over few
    cores need more of it. `shutdown` is how much longer one host may run than the others.
    """

    initialization: int = 300
    heartbeat: int = 30
    shutdown: int = 3600


class Host:
    """The actor.

    `run` has the main thread, so that the program may handle signals. The others are for callers beside it, in the
    concurrency group CONTROL.
    """

    def __init__(self, rank: int, hosts: int) -> None:
        self._rank = rank
        self._hosts = hosts
        self._lock = threading.Lock()
        self._coordinator = ""
        self._listens = False  # whether JAX catches SIGTERM; until then it would end the process
        self._stop_asked = False
        for name in [name for name in os.environ if name.startswith("MEGASCALE_")]:
            del os.environ[name]  # of an earlier start; they would make libtpu wait for hosts that are gone

    def __repr__(self) -> str:
        return f"host {self._rank}"  # Ray puts it before every line that the process prints

    def coordinator_address(self) -> str:
        """Where rank 0 coordinates JAX's processes: a port of this host that is free now."""
        with self._lock:
            if not self._coordinator:
                address = ray.util.get_node_ip_address()
                with socket.socket() as probe:
                    probe.bind((address, 0))
                    self._coordinator = f"{address}:{probe.getsockname()[1]}"
            return self._coordinator

    def run(self, entry: str, config: str, rank_0: Any, timeouts: Timeouts) -> Outcome:
        """Joins the other hosts and calls `module:function` with the config, given as JSON; `rank_0` is its actor."""
        try:
            import jax  # only now: it reads the environment of this host

            coordinator: str = ray.get(rank_0.coordinator_address.options(concurrency_group=CONTROL).remote())
            jax.distributed.initialize(
                coordinator,
                self._hosts,
                self._rank,
                cluster_detection_method="deactivate",
                initialization_timeout=timeouts.initialization,
                heartbeat_timeout_seconds=timeouts.heartbeat,
                shutdown_timeout_seconds=timeouts.shutdown,
                coordinator_bind_address=coordinator,
            )
            self._listen(True)
            module, function = entry.split(":")
            value = getattr(importlib.import_module(module), function)(json.loads(config))
            if self._rank == 0:
                value = json.loads(json.dumps(value))
            self._listen(False)
            jax.distributed.shutdown()  # waits for the other hosts: rank 0 coordinates, and must leave last
        except (Exception, SystemExit) as error:
            # JAX stays up: a shutdown would wait for hosts that hang in a collective with this one.
            return Outcome(
                status="failed",
                rank=self._rank,
                message=_message(error),
                traceback=traceback.format_exc(),
                exit_status=_exit_status(error),
            )
        status: Literal["stopped", "succeeded"] = "stopped" if self._stop_asked else "succeeded"
        return Outcome(status=status, rank=self._rank, value=value if self._rank == 0 else None)

    def stop(self) -> None:
        """Makes `jax.experimental.multihost_utils.reached_preemption_sync_point` true, on all hosts at one step."""
        with self._lock:
            self._stop_asked = True
            if self._listens:
                os.kill(os.getpid(), signal.SIGTERM)

    def _listen(self, listens: bool) -> None:
        with self._lock:
            self._listens = listens
            if listens and self._stop_asked:
                os.kill(os.getpid(), signal.SIGTERM)


def _message(error: BaseException) -> str:
    """The error as a line; one that carries its own exit status is meant for the user, and speaks for itself."""
    if hasattr(error, "exit_status"):
        return str(error)
    return "".join(traceback.format_exception_only(error)).strip()


def _exit_status(error: BaseException) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    status = getattr(error, "exit_status", 1)
    return status if isinstance(status, int) else 1
