"""Kills a run's processes, and waits until they are gone."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray._private.state import state
from ray.core.generated.gcs_pb2 import WorkerTableData  # type: ignore[attr-defined]
from ray.util.placement_group import PlacementGroup, remove_placement_group

from cluster.placement import without_host

_GONE_S = 30.0
_POLL_S = 0.05
_SLOW_S = 1.0  # usually it takes a tenth of this


def kill(hosts: Sequence[Any], nodes: Sequence[str], group: PlacementGroup) -> None:
    """Kills the actors of a run, and returns when none of their processes can write any more.

    Does not wait for a process whose machine is lost, nor for any longer than half a minute; then it prints a warning.

    Args:
      hosts: the actors, by rank.
      nodes: the ids of the Ray nodes that they are on.
      group: their placement group, which is removed if a process does not end soon: then it gets SIGKILL at once;
        otherwise, for example if it is stopped (SIGSTOP), only after five seconds.
    """
    for host in hosts:
        ray.kill(host)
    left = dict(enumerate(hosts))
    began = time.monotonic()
    slow = False
    while (left := _living(left)) and time.monotonic() - began < _GONE_S:
        if slow:
            left = {rank: host for rank, host in left.items() if not without_host([nodes[rank]])}
        elif time.monotonic() - began > _SLOW_S:
            remove_placement_group(group)
            slow = True
        time.sleep(_POLL_S)
    for rank in left:
        print(f"host {rank} has been killed, and after {_GONE_S:.0f} s lives on: it may still write", file=sys.stderr)


def _living(hosts: Mapping[int, Any]) -> dict[int, Any]:
    """Those of the actors that have a process, or may still get one.

    An actor's own state is dead as soon as it is killed, and calls to it fail, while its process continues for a while.
    A worker's state is dead once its node has seen it exit.
    """
    rows = map(WorkerTableData.FromString, state._connect_and_get_accessor().get_worker_table())
    workers = {(row.worker_address.node_id.hex(), row.pid) for row in rows if row.is_alive}
    actors = {rank: state.actor_table(host._actor_id.hex()) for rank, host in hosts.items()}
    return {
        rank: hosts[rank]
        for rank, actor in actors.items()
        if actor and (actor["State"] != "DEAD" or (actor["Address"]["NodeID"], actor["Pid"]) in workers)
    }
