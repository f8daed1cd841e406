"""Reserves a whole slice of the cluster for a run, or reports what the cluster has instead."""

import contextlib
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from cluster.errors import UnavailableError
from cluster.policy import Place
from cluster.slices import SLICES, Slice


class _Labels(NamedTuple):
    """Keys of the labels that make a node a host: the kind of its slice, the slice's name, and its worker id there."""

    kind: str
    name: str
    worker: str


# Ray sets the first on every node that is a TPU host. On other hosts, whoever adds them to the cluster sets the second.
_RAYS = _Labels("ray.io/tpu-pod-type", "ray.io/tpu-slice-name", "ray.io/tpu-worker-id")
_GIVEN = _Labels("slice-type", "slice-name", "worker-id")
_NODE = "ray.io/node-id"  # Ray's label on every node

_Node = dict[str, Any]  # as returned by ray.nodes()
_UNITS = {"CPU": "CPUs", "GPU": "GPUs", "TPU": "TPU chips"}
_TRY_S = 2.0  # a free slice is placed in a tenth of this
_SAY_EVERY_S = 5.0


@contextlib.contextmanager
def reserved(
    slice: Slice, wait_s: float, pause: Callable[[], None], name: str | None = None
) -> Iterator[tuple[PlacementGroup, list[str]]]:
    """Context manager: a placement group whose bundle i is the host with worker id i, and the ids of its nodes by rank.

    The group is released at the end.

    Ray places all of a group or nothing, so two runs cannot each get a part of a slice. (Its `slice_placement_group`
    does the same, but starts a process to learn the slice's name, and refuses single hosts.)

    Args:
      slice: which kind of slice.
      wait_s: how long to wait for a busy one.
      pause: called between attempts; an exception from it ends the wait.
      name: the name of the slice, if it must be a particular one of its kind.

    Raises:
      UnavailableError: the cluster has no such slice (raised at once), or all of them stayed busy.
    """
    began = time.monotonic()
    said = -_SAY_EVERY_S
    group = None
    while group is None:
        for hosts in _candidates(slice, name):
            group = _try(slice, hosts)
            if group is not None:
                break
        else:
            waited = time.monotonic() - began
            if waited > wait_s:
                which = f"the {slice.name} {name}" if name else f"every {slice.name} of the cluster"
                raise UnavailableError(f"{which} has been busy for {waited:.0f} s.")
            if waited - said > _SAY_EVERY_S:
                print(f"waiting for a free {slice.name} ({waited:.0f} s)", flush=True)
                said = waited
            pause()
    try:
        yield group, [host["NodeID"] for host in hosts]
    finally:
        remove_placement_group(group)


def bundle(slice: Slice, cpus: float = 1) -> dict[str, float]:
    """What a run takes of a host of a slice: its chips, or if it has none all its CPUs, so that the host is taken."""
    generation = slice.generation
    if generation.resource == "CPU":
        return {"CPU": max(1.0, cpus)}
    return {"CPU": 1, generation.resource: generation.chips_per_host}


def labels(slice: Slice, name: str, worker_id: int) -> dict[str, str]:
    """The labels with which a host other than a TPU host joins the cluster: `ray start --labels=…`."""
    return dict(zip(_GIVEN, (slice.name, name, str(worker_id)), strict=True))


def whole_slices() -> list[tuple[Slice, str]]:
    """The slices whose hosts have all joined, free or busy, each with its name; smaller ones first, then by name."""
    return list(_whole())


def without_host(nodes: Sequence[str]) -> set[int]:
    """Which ranks have lost their node: it is not alive, or does not answer although Ray has not noticed yet.

    A different node with the same labels does not count, as it has joined since.

    Args:
      nodes: by rank, the id of the node that it was on.
    """
    known = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
    there = set()
    for rank, each in enumerate(nodes):
        with contextlib.suppress(KeyError, OSError):
            node = known[each]
            socket.create_connection((node["NodeManagerAddress"], node["NodeManagerPort"]), timeout=2).close()
            there.add(rank)
    return set(range(len(nodes))) - there


def places() -> list[Place]:
    """The whole slices as places of the run queue."""
    address = (("RAY_ADDRESS", ray.get_runtime_context().gcs_address),)
    return [Place(name, slice.name, address) for slice, name in whole_slices()]


def inventory() -> str:
    """What the cluster has, for a message."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    totals = {name: sum(node["Resources"].get(name, 0) for node in nodes) for name in _UNITS}
    resources = ", ".join(f"{total:.0f} {_UNITS[name]}" for name, total in totals.items() if total) or "nothing"
    slices = [_described(kind, name, hosts) for (kind, name), hosts in sorted(_hosts_by_slice().items())]
    return f"{len(nodes)} nodes with {resources}: {'; '.join(slices) or 'no slice'}"


def _candidates(slice: Slice, name: str | None) -> list[list[_Node]]:
    """The hosts, by rank, of each whole slice of the kind, or of the named one only; there is at least one slice."""
    whole = [hosts for (kind, found), hosts in _whole().items() if kind == slice and name in (None, found)]
    if not whole:
        joining = "" if slice.generation.resource == "TPU" else f", each with {_joining(slice, name)}"
        raise UnavailableError(
            f"the cluster has no whole {slice}{f' called {name}' if name else ''}. It has {inventory()}. "
            f"Ask for a slice that is there, or see that all hosts of this one have joined{joining}."
        )
    return whole


def _try(slice: Slice, hosts: list[_Node]) -> PlacementGroup | None:
    group = placement_group(
        [bundle(slice, host["Resources"]["CPU"]) for host in hosts],
        bundle_label_selector=[{_NODE: host["NodeID"]} for host in hosts],
    )
    placed = False
    try:
        placed = group.wait(_TRY_S)
    finally:
        if not placed:
            remove_placement_group(group)
    return group if placed else None


def _whole() -> dict[tuple[Slice, str], list[_Node]]:
    """The hosts, by rank, of every slice whose hosts are all there and have the resources that they should."""
    there = _hosts_by_slice()
    return {
        (kind, name): [hosts[rank] for rank in range(kind.hosts)]
        for kind in SLICES
        for (of_kind, name), hosts in sorted(there.items(), key=lambda found: found[0])
        if of_kind == kind.name
        and hosts.keys() == set(range(kind.hosts))
        and not any(_lacking(kind, host) for host in hosts.values())
    }


def _hosts_by_slice() -> Mapping[tuple[str, str], dict[int, _Node]]:
    """For every slice, by kind and name, its hosts that are there, by worker id."""
    hosts: dict[tuple[str, str], dict[int, _Node]] = defaultdict(dict)
    for node in ray.nodes():
        for keys in (_RAYS, _GIVEN):
            kind, name, worker = (node["Labels"].get(key, "") for key in keys)
            if node["Alive"] and kind and name and worker.isdecimal():
                hosts[kind, name][int(worker)] = node
    return hosts


def _lacking(slice: Slice, host: _Node) -> list[str]:
    """The resources that a host should have but lacks."""
    there = defaultdict(float, host["Resources"])
    wanted = bundle(slice, there["CPU"])
    return [
        f"{there[each]:.0f} of {number:.0f} {_UNITS[each]}" for each, number in wanted.items() if there[each] < number
    ]


def _described(kind: str, name: str, hosts: Mapping[int, _Node]) -> str:
    """A slice, whole or not, with those of its hosts that are there."""
    text = f"a {kind} called {name} with {'hosts' if len(hosts) > 1 else 'host'} {', '.join(map(str, sorted(hosts)))}"
    slice = next((each for each in SLICES if each.name == kind), None)
    if slice is None:
        return f"{text}, a kind that is not known"
    lacking = {rank: _lacking(slice, host) for rank, host in sorted(hosts.items())}
    return text + "".join(f", host {rank} having only {', '.join(each)}" for rank, each in lacking.items() if each)


def _joining(slice: Slice, name: str | None) -> str:
    """The flag with which the hosts that form the slice join."""
    flag = f"--labels={_GIVEN.kind}={slice.name},{_GIVEN.name}={name or 'NAME'},{_GIVEN.worker}="
    return f"{flag}0" if slice.hosts == 1 else f"{flag}N, where N is 0 to {slice.hosts - 1}"
