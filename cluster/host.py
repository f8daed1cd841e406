"""One host of a slice: a Ray actor whose process is one JAX process."""

import dataclasses
import os
import signal
import socket
import threading
from typing import Any

import ray

from cluster.outcomes import Outcome
from cluster.process import Timeouts, run_process

CONTROL = "control"


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
        outcome = run_process(
            entry,
            config,
            coordinator=lambda: ray.get(rank_0.coordinator_address.options(concurrency_group=CONTROL).remote()),
            processes=self._hosts,
            rank=self._rank,
            timeouts=timeouts,
            listens=self._listen,
        )
        if outcome.status == "succeeded" and self._stop_asked:
            return dataclasses.replace(outcome, status="stopped")
        return outcome

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
