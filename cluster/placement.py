"""Taking a whole slice of the cluster for a run, and saying what there is when there is none."""

import contextlib
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from cluster.errors import UnavailableError
from cluster.policy import Place
from cluster.slices import SLICES, Slice

# Ray gives these labels to every node that is a TPU host.
_KIND, _NAME, _WORKER = "ray.io/tpu-pod-type", "ray.io/tpu-slice-name", "ray.io/tpu-worker-id"

_TRY_S = 2.0  # a free slice is placed in a tenth of this
_SAY_EVERY_S = 5.0


@contextlib.contextmanager
def reserved(
    slice: Slice, wait_s: float, pause: Callable[[], None], name: str | None = None
) -> Iterator[tuple[PlacementGroup, str]]:
    """Context manager: a placement group whose bundle i is the host with TPU_WORKER_ID i, and the name of its slice.

    The group is given back at the end.

    Ray places all of a group or nothing, so that two runs cannot each get a part of a slice. (Its
    `slice_placement_group` does the same, but starts a process to learn the slice's name, and refuses single hosts.)

    Args:
      slice: which slice.
      wait_s: how long to wait for one that is busy.
      pause: called between looks; what it raises ends the waiting.
      name: of the slice, where it must be that one of its kind.

    Raises:
      UnavailableError: the cluster has no such slice, at once; or all of them stayed busy.
    """
    began = time.monotonic()
    said = -_SAY_EVERY_S
    group = None
    while group is None:
        for candidate in _candidates(slice, name):
            group = _try(slice, candidate)
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
        yield group, candidate
    finally:
        remove_placement_group(group)


def bundle(slice: Slice) -> dict[str, float]:
    """What a run takes of each host of a slice."""
    return {"CPU": 1, "TPU": slice.generation.chips_per_host}


def whole_slices() -> list[tuple[Slice, str]]:
    """The slices whose hosts have all joined, free or busy, each with its name; smaller ones first, then by name."""
    kinds = {each.name: each for each in SLICES}
    whole = [
        (kinds[kind], name)
        for (kind, name), hosts in _hosts_by_slice().items()
        if kind in kinds and len(hosts) == kinds[kind].hosts
    ]
    return sorted(whole, key=lambda found: (SLICES.index(found[0]), found[1]))


def without_host(slice: Slice, name: str) -> set[int]:
    """Which hosts of a slice are not there, or do not answer although Ray has not noticed yet."""
    there = set()
    for node in ray.nodes():
        labels = node["Labels"]
        if node["Alive"] and (labels.get(_KIND), labels.get(_NAME)) == (slice.name, name):
            with contextlib.suppress(OSError):
                socket.create_connection((node["NodeManagerAddress"], node["NodeManagerPort"]), timeout=2).close()
                there.add(int(labels[_WORKER]))
    return set(range(slice.hosts)) - there


def places() -> list[Place]:
    """The whole slices as places of the run queue."""
    address = (("RAY_ADDRESS", ray.get_runtime_context().gcs_address),)
    return [Place(name, slice.name, address) for slice, name in whole_slices()]


def _candidates(slice: Slice, name: str | None) -> list[str]:
    """Names of the whole slices of the kind, or the one that is asked for; there is at least one."""
    names = [found for kind, found in whole_slices() if kind == slice and name in (None, found)]
    if not names:
        raise UnavailableError(
            f"the cluster has no whole {slice}{f' called {name}' if name else ''}. It has {inventory()}. "
            "Ask for a slice that is there, or see that all hosts of this one have joined."
        )
    return names


def _try(slice: Slice, name: str) -> PlacementGroup | None:
    group = placement_group(
        [bundle(slice)] * slice.hosts,
        bundle_label_selector=[{_NAME: name, _WORKER: str(rank)} for rank in range(slice.hosts)],
    )
    placed = False
    try:
        placed = group.wait(_TRY_S)
    finally:
        if not placed:
            remove_placement_group(group)
    return group if placed else None


def _hosts_by_slice() -> dict[tuple[str, str], set[int]]:
    """For every slice, by kind and name, the worker ids of the hosts that are there."""
    hosts: dict[tuple[str, str], set[int]] = defaultdict(set)
    for node in ray.nodes():
        labels = node["Labels"]
        if node["Alive"] and {_KIND, _NAME, _WORKER} <= labels.keys():
            hosts[labels[_KIND], labels[_NAME]].add(int(labels[_WORKER]))
    return hosts


def inventory() -> str:
    """What the cluster has, for a message."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    chips = sum(node["Resources"].get("TPU", 0) for node in nodes)
    slices = [
        f"a {kind} called {name} with {'hosts' if len(hosts) > 1 else 'host'} {', '.join(map(str, sorted(hosts)))}"
        for (kind, name), hosts in sorted(_hosts_by_slice().items())
    ]
    return f"{len(nodes)} nodes with {chips:.0f} TPU chips: {'; '.join(slices) or 'no slice'}"
