"""One run on one slice: find the cluster, start a JAX process on every host, and see how it ends."""

import dataclasses
import json
import logging
import os
import re
import socket
import sys
import time
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants
from ray.exceptions import RayError
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from cluster.emulated import ADDRESS_FILE, DASHBOARD_PORT, ROOT
from cluster.errors import ClusterError
from cluster.host import CONTROL, Host
from cluster.outcomes import Outcome
from cluster.placement import reserved
from cluster.process import Timeouts
from cluster.signals import Signals
from cluster.slices import Slice

_POLL_S = 0.5
_SETTLE_S = 2.0  # other failures within this time after the first may be nearer to the cause


def connect(address: str | None = None, root: Path = ROOT) -> bool:
    """Connects this process to a Ray cluster; False if none is named and none is found.

    In this order: `address`; RAY_ADDRESS, which a submitted job has; the cluster whose dashboard answers on this
    machine at Ray's default port, which is the one that `ray job submit` finds.

    Args:
      address: host:port of the cluster's head.
      root: the folder whose copy is the working directory of the hosts. What its .gitignore names is left out.

    Raises:
      ClusterError: there is no cluster at the address.
    """
    if ray.is_initialized():
        return True
    address = address or os.environ.get("RAY_ADDRESS") or _address_on_this_machine()
    if not address:
        return False
    # A job that was submitted with a --working-dir has one already, and Ray wants to be told which one holds. And Ray
    # leaves .git out by itself, but with a warning that a user can do nothing about.
    os.environ |= {"RAY_OVERRIDE_JOB_RUNTIME_ENV": "1", "RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES": ""}
    files = {"working_dir": str(root), "excludes": [".git", ".venv", "__pycache__"]}
    # Ray on Linux replaces 127.0.0.1 by the machine's outer address, where an emulated slice does not listen.
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        _knock(address)  # Ray itself would try for ten minutes
        ray.init(address=address, runtime_env=files, logging_level=logging.WARNING)
    except OSError as error:
        raise ClusterError(f"no Ray cluster answers at {address}: start one there, or unset RAY_ADDRESS.") from error
    return True


def _knock(address: str) -> None:
    """Raises OSError if host:port does not answer; other forms of an address are Ray's to judge."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _address_on_this_machine() -> str | None:
    """The dashboard knows the head's folder, and there Ray has written the address."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{DASHBOARD_PORT}/nodes?view=summary", timeout=10) as reply:
            nodes = json.load(reply)["data"]["summary"]
        folder = next(node["raylet"]["tempDir"] for node in nodes if node["raylet"]["isHeadNode"])
        return Path(folder, ADDRESS_FILE).read_text().strip()
    except (OSError, ValueError, KeyError, StopIteration):  # nothing there, or not Ray
        return None


def run(
    entry: str,
    config: Mapping[str, Any],
    slice: Slice,
    *,
    name: str | None = None,
    env: Mapping[str, str] | None = None,
    timeouts: Timeouts = Timeouts(),  # noqa: B008 (frozen)
    wait_s: float = float("inf"),
    grace_s: float = 600.0,
) -> Outcome:
    """Runs `module:function` with `config` on every host of a slice, each a JAX process of its own.

    Rank i is the host whose TPU_WORKER_ID is i. The first SIGINT or SIGTERM to this process stops the run: on all hosts
    `jax.experimental.multihost_utils.reached_preemption_sync_point` becomes true at the same step, and the function is
    to save and return. A second one, or the end of the grace, kills. Before this returns, all processes of the run have
    been killed and the slice given back.

    Args:
      entry: importable on the hosts, so below the root that `connect` was given.
      config: JSON-serialisable; the function gets it as JSON gives it back. Paths in it must be absolute.
      slice: which slice; one that is busy is waited for.
      name: of the slice, where it must be that one of its kind.
      env: more environment variables for the processes.
      timeouts: JAX's.
      wait_s: how long to wait for a busy slice.
      grace_s: how long a stopped run may take to save.

    Returns:
      The first failure, with those that followed in `collateral`; it has been printed. Without one, rank 0's outcome.

    Raises:
      ClusterError: `connect` found no cluster, the entry or the config is malformed, the cluster has not got the slice,
        or it stayed busy.
    """
    if not ray.is_initialized():  # Ray would start a cluster of its own
        raise ClusterError(f"{entry} has no cluster to run on: connect to one first, or start an emulated slice.")
    if not re.fullmatch(r"[\w.]+:\w+", entry):
        raise ClusterError(f"entry {entry!r}: it must be module:function.")
    try:
        config_json = json.dumps(dict(config))
    except (TypeError, ValueError) as error:
        raise ClusterError(f"the config of {entry} is not JSON: {error}.") from error
    with Signals() as signals:

        def pause() -> None:
            time.sleep(_POLL_S)
            if signals.received:
                raise _Stopped("stopped before it had begun")

        try:
            with reserved(slice, wait_s, pause, name) as group:
                hosts = _start(group, slice, env or {})
                try:
                    outcome = _watch(hosts, entry, config_json, timeouts, grace_s, signals)
                finally:
                    for host in hosts:
                        ray.kill(host)
        except _Stopped as stopped:
            outcome = Outcome("stopped", message=str(stopped))
        if outcome.status == "stopped":
            outcome = dataclasses.replace(outcome, exit_status=128 + signals.received[0])
    _report(outcome)
    return outcome


def _start(group: PlacementGroup, slice: Slice, env: Mapping[str, str]) -> list[Any]:
    options: dict[str, Any] = {
        "num_cpus": 1,
        "resources": {"TPU": slice.generation.chips_per_host},
        "concurrency_groups": {CONTROL: 1},
        "runtime_env": {"env_vars": dict(env)},
    }
    actor = ray.remote(**options)(Host)
    return [
        actor.options(
            scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank)
        ).remote(rank, slice.hosts)
        for rank in range(slice.hosts)
    ]


def _watch(hosts: list[Any], entry: str, config: str, timeouts: Timeouts, grace_s: float, signals: Signals) -> Outcome:
    """Waits for the first failure, or for all to end; passes the first signal on as a stop."""
    pending = {host.run.remote(entry, config, hosts[0], timeouts): rank for rank, host in enumerate(hosts)}
    ended: list[Outcome] = []
    give_up = float("inf")
    while pending and not any(outcome.status == "failed" for outcome in ended):
        if signals.received and give_up == float("inf"):
            print(f"stopping: the hosts have {grace_s:.0f} s to save and leave; once more kills them", flush=True)
            give_up = time.monotonic() + grace_s
            for host in hosts:
                host.stop.options(concurrency_group=CONTROL).remote()
        if len(signals.received) > 1 or time.monotonic() > give_up:
            raise _Stopped(f"killed before {_hosts(pending.values())} had returned")
        ended += _next_ended(pending, _POLL_S)
    settled = time.monotonic() + _SETTLE_S
    while pending and time.monotonic() < settled:
        ended += _next_ended(pending, _POLL_S)
    failures = [outcome for outcome in ended if outcome.status == "failed"]
    if not failures:
        return next(outcome for outcome in ended if outcome.rank == 0)
    # Where a process died, exceptions elsewhere tell of its connections; and rank 0, the coordinator, takes all along.
    first = min(failures, key=lambda outcome: (not outcome.lost, outcome.lost and outcome.rank != 0))
    return dataclasses.replace(first, collateral=tuple(outcome for outcome in failures if outcome is not first))


def _next_ended(pending: dict[ray.ObjectRef, int], timeout: float) -> list[Outcome]:
    """Takes out of `pending` a host that ended within the timeout; returns its outcome, or nothing."""
    done, _ = ray.wait(list(pending), timeout=timeout)
    if not done:
        return []
    rank = pending.pop(done[0])
    try:
        return [ray.get(done[0])]
    except RayError as error:
        message = "its process died"
        return [Outcome("failed", rank, message, traceback=str(error), exit_status=1, lost=True)]


def _report(outcome: Outcome) -> None:
    """Prints a failure; with its traceback, unless the exception has an exit status and thereby speaks to the user."""
    if outcome.status != "failed":
        return
    lines = [f"host {outcome.rank} failed: {outcome.message}"]
    if outcome.exit_status == 1:
        lines += [outcome.traceback.rstrip()]
    if outcome.collateral:
        lines += [f"{_hosts(other.rank for other in outcome.collateral)} failed with it"]
    print("\n".join(lines), file=sys.stderr, flush=True)


def _hosts(ranks: Iterable[int | None]) -> str:
    numbers = sorted(rank for rank in ranks if rank is not None)
    return f"host{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


class _Stopped(Exception):
    """The run was stopped before it had begun, or was killed because it did not stop."""
