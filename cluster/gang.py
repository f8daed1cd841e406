"""One run on one slice: finds the cluster, starts a JAX process on every host, and determines how it ends."""

import dataclasses
import json
import logging
import os
import re
import socket
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from cluster.emulated import ADDRESS_FILE, DASHBOARD_PORT, ROOT
from cluster.errors import ClusterError
from cluster.host import CONTROL, Host
from cluster.killing import kill
from cluster.outcomes import Ending, Outcome
from cluster.placement import reserved, without_host
from cluster.process import Timeouts
from cluster.signals import Signals
from cluster.slices import Slice
from cluster.watch import Stopped, Watch, named

_POLL_S = 0.5
_MACHINE_LOST_S = 3.0  # if a process died with its machine, the machine is known to be gone within this time


def connect(address: str | None = None, root: Path = ROOT) -> bool:
    """Connects this process to a Ray cluster; returns False if none is named and none is found.

    Tried in this order: `address`; RAY_ADDRESS, which is set for a submitted job; the cluster whose dashboard answers
    on this machine at Ray's default port, which is the one that `ray job submit` finds.

    Args:
      address: host:port of the cluster's head.
      root: the folder that is copied to be the hosts' working directory, without what its .gitignore names.

    Raises:
      ClusterError: there is no cluster at the address.
    """
    if ray.is_initialized():
        return True
    address = address or os.environ.get("RAY_ADDRESS") or _address_on_this_machine()
    if not address:
        return False
    # A job submitted with a --working-dir already has one, and Ray must be told which one takes precedence. Also, Ray
    # excludes .git by default, but with a warning that a user can do nothing about.
    os.environ |= {"RAY_OVERRIDE_JOB_RUNTIME_ENV": "1", "RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES": ""}
    files = {"working_dir": str(root), "excludes": [".git", ".venv", "__pycache__"]}
    # Ray on Linux replaces 127.0.0.1 with the machine's external address, on which an emulated slice does not listen.
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        _knock(address)  # Ray itself would keep trying for ten minutes
        ray.init(address=address, runtime_env=files, logging_level=logging.WARNING)
    except OSError as error:
        raise ClusterError(f"no Ray cluster answers at {address}: start one there, or unset RAY_ADDRESS.") from error
    return True


def _knock(address: str) -> None:
    """Raises OSError if host:port does not answer; other forms of an address are left to Ray."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _address_on_this_machine() -> str | None:
    """Asks the dashboard for the head's folder, into which Ray has written the address."""
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

    Rank i is the host whose worker id is i: a TPU host's TPU_WORKER_ID, another host's label. The first SIGINT or
    SIGTERM to this process stops the run: `jax.experimental.multihost_utils.reached_preemption_sync_point` becomes true
    on all hosts at the same step, and the function should save and return. A second one, or the end of the grace, kills
    it. When this returns, all processes of the run have ended, except those on lost machines, and the slice has been
    released.

    Args:
      entry: importable on the hosts, so below the root that `connect` was given.
      config: JSON-serialisable; the function gets it after a round trip through JSON. Paths in it must be absolute.
      slice: which kind of slice; waits if it is busy.
      name: the name of the slice, if it must be a particular one of its kind.
      env: additional environment variables for the processes.
      timeouts: when to give up.
      wait_s: how long to wait for a busy slice.
      grace_s: how long a stopped run may take to save.

    Returns:
      The first failure, which has been printed, with those that followed in `collateral`. Unless it is a program error,
      it counts as a preemption if machines went away with it; so does a run that left because a host was told to.
      Without a failure, rank 0's outcome. After a signal the run counts as cancelled, however it ended, except for a
      program error.

    Raises:
      ClusterError: `connect` found no cluster, the entry or the config is malformed, the cluster does not have the
        slice, or the slice stayed busy.
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
                raise Stopped("stopped before it had begun")

        try:
            with reserved(slice, wait_s, pause, name) as (group, nodes):
                hosts = _start(group, slice, env or {})
                try:
                    outcome = Watch(hosts, entry, config_json, timeouts).until_ended(signals, grace_s)
                finally:
                    kill(hosts, nodes, group)
            if outcome.status in (Ending.FAILED, Ending.HUNG) and not outcome.program_error:
                outcome = _charged_to_machines(outcome, nodes)
        except Stopped as stopped:
            outcome = Outcome(Ending.CANCELLED, message=str(stopped))
    if signals.received and not outcome.program_error:
        if outcome.status != Ending.PREEMPTED:  # the status of a run that was told to leave, as here
            _report(outcome)
        return dataclasses.replace(outcome, status=Ending.CANCELLED, exit_status=128 + signals.received[0])
    _report(outcome)
    return outcome


def _start(group: PlacementGroup, slice: Slice, env: Mapping[str, str]) -> list[Any]:
    """Starts an actor on every host that takes what is reserved there; Ray sets CUDA_VISIBLE_DEVICES from that."""
    options: dict[str, Any] = {"concurrency_groups": {CONTROL: 1}, "runtime_env": {"env_vars": dict(env)}}
    actor = ray.remote(**options)(Host)
    return [
        actor.options(
            num_cpus=taken["CPU"],
            num_gpus=taken.get("GPU", 0),
            resources={name: number for name, number in taken.items() if name not in ("CPU", "GPU")},
            scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank),
        ).remote(rank, slice.hosts)
        for rank, taken in enumerate(group.bundle_specs)
    ]


def _charged_to_machines(outcome: Outcome, nodes: Sequence[str]) -> Outcome:
    """Turns a failure into a preemption if a machine of the run has gone with it; `nodes` are the node ids, by rank."""
    known_by = time.monotonic() + _MACHINE_LOST_S
    while not (gone := without_host(nodes)) and time.monotonic() < known_by:
        time.sleep(_POLL_S)
    if not gone:
        return outcome
    message = f"the machine of {named(gone)} has gone: host {outcome.rank}: {outcome.message}"
    return dataclasses.replace(outcome, status=Ending.PREEMPTED, message=message)


def _report(outcome: Outcome) -> None:
    """Prints a failure, with its traceback unless the exception has an exit status and so is meant for the user."""
    if outcome.status == Ending.PREEMPTED:
        print(f"preempted: {outcome.message}", file=sys.stderr, flush=True)
    if outcome.status not in (Ending.FAILED, Ending.HUNG):
        return
    how = "failed" if outcome.status == Ending.FAILED else "hung"
    lines = [f"host {outcome.rank} {how}: {outcome.message}"]
    if outcome.exit_status == 1:
        lines += [outcome.traceback.rstrip()]
    if outcome.collateral:
        lines += [f"{named(other.rank for other in outcome.collateral)} failed with it"]
    print("\n".join(lines), file=sys.stderr, flush=True)
