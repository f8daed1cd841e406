"""One host of a slice: a Ray actor whose process is one JAX process."""

import dataclasses
import os
import signal
import socket
import threading
import time
from typing import Any

import ray

from cluster import watchdog
from cluster.outcomes import Outcome
from cluster.process import Timeouts, run_process
from cluster.watchdog import Mark

CONTROL = "control"
_LAST_WORDS_S = 20.0  # how long a hung process can still be asked for its report before it ends


@dataclasses.dataclass(frozen=True)
class Report:
    """A host's answer when polled: where its program is, and the outcome if its watchdog has found it hung."""

    mark: Mark | None
    hung: Outcome | None


class Host:
    """The actor.

    `run` occupies the main thread, so that the program may handle signals. The other methods are called concurrently,
    in the concurrency group CONTROL.
    """

    def __init__(self, rank: int, hosts: int) -> None:
        self._rank = rank
        self._hosts = hosts
        self._lock = threading.Lock()
        self._coordinator = ""
        self._listens = False  # whether JAX catches SIGTERM; before that, the signal would end the process
        self._stop_asked = False
        self._hung: Outcome | None = None
        for name in [name for name in os.environ if name.startswith("MEGASCALE_")]:
            del os.environ[name]  # left by an earlier start; they would make libtpu wait for hosts that are gone
        if os.environ.get("CUDA_VISIBLE_DEVICES"):  # by Ray; without its CUDA plugin JAX would silently use the CPU
            os.environ.setdefault("JAX_PLATFORMS", "cuda,cpu")

    def __repr__(self) -> str:
        return f"host {self._rank}"  # Ray prefixes every line that the process prints with it

    def coordinator_address(self) -> str:
        """The address for JAX's coordinator, which is on rank 0: a port of this host that is free now."""
        with self._lock:
            if not self._coordinator:
                address = ray.util.get_node_ip_address()
                with socket.socket() as probe:
                    probe.bind((address, 0))
                    self._coordinator = f"{address}:{probe.getsockname()[1]}"
            return self._coordinator

    def run(self, entry: str, config: str, rank_0: Any, timeouts: Timeouts) -> Outcome:
        """Joins the other hosts and calls `module:function` with the config, given as JSON; `rank_0` is its actor."""
        return run_process(
            entry,
            config,
            coordinator=lambda: ray.get(rank_0.coordinator_address.options(concurrency_group=CONTROL).remote()),
            processes=self._hosts,
            rank=self._rank,
            timeouts=timeouts,
            listens=self._listen,
            hung=self._hold_report,
        )

    def report(self) -> Report:
        """Where the program is; that there is an answer at all shows that this process is alive."""
        return Report(watchdog.where(), self._hung)

    def stacks(self) -> str:
        """Every thread's stack."""
        return watchdog.stacks()

    def stop(self) -> None:
        """Makes `jax.experimental.multihost_utils.reached_preemption_sync_point` true at the same step on all hosts."""
        with self._lock:
            self._stop_asked = True
            if self._listens:
                os.kill(os.getpid(), signal.SIGTERM)

    def _listen(self, listens: bool) -> None:
        with self._lock:
            self._listens = listens
            if listens and self._stop_asked:
                os.kill(os.getpid(), signal.SIGTERM)

    def _hold_report(self, outcome: Outcome) -> None:
        """Keeps the outcome for `report`, whose caller kills this process; otherwise it ends when this returns."""
        self._hung = outcome
        time.sleep(_LAST_WORDS_S)
