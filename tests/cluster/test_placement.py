"""Which hosts form a slice, judging by what Ray reports of the nodes."""

import socket

import pytest
import ray

from cluster import placement
from cluster.errors import UnavailableError
from cluster.slices import slice_named

H100_16, CPU_2, V2_8 = slice_named("h100-16"), slice_named("cpu-2"), slice_named("v2-8")


def node(labels, alive=True, **resources):
    return {"Alive": alive, "Labels": labels, "Resources": {"CPU": 4.0, **resources}}


def gpu_host(worker, name="a", **changes):
    labels = {"slice-type": "h100-16", "slice-name": name, "worker-id": str(worker)}
    return node(labels, **{"GPU": 8.0} | changes)


def cpu_host(worker, **changes):
    return node({"slice-type": "cpu-2", "slice-name": "b", "worker-id": str(worker)}, **changes)


def tpu_host():
    labels = {"ray.io/tpu-pod-type": "v2-8", "ray.io/tpu-slice-name": "c", "ray.io/tpu-worker-id": "0"}
    return node(labels, TPU=4.0)


@pytest.fixture
def nodes(monkeypatch):
    """Makes Ray report these nodes, besides a head."""
    head = {"NodeID": "head", "Alive": True, "Labels": {}, "Resources": {}}

    def tell(*hosts):
        monkeypatch.setattr(ray, "nodes", lambda: [head, *hosts])

    return tell


def test_slices_of_all_kinds_are_found_beside_each_other(nodes):
    nodes(gpu_host(1), cpu_host(0), tpu_host(), gpu_host(0), cpu_host(1))
    assert placement.whole_slices() == [(V2_8, "c"), (H100_16, "a"), (CPU_2, "b")]
    assert placement.inventory() == (
        "6 nodes with 20 CPUs, 16 GPUs, 4 TPU chips: a cpu-2 called b with hosts 0, 1; a h100-16 called a with hosts "
        "0, 1; a v2-8 called c with host 0"
    )


@pytest.mark.parametrize(
    "second",
    [
        gpu_host(0),
        gpu_host(2),
        gpu_host("1x"),
        gpu_host(1, name="another"),
        gpu_host(1, alive=False),
        gpu_host(1, GPU=4.0),
        gpu_host(1, CPU=0.0),
    ],
    ids=["twice the first", "a third", "no number", "of another slice", "dead", "too few GPUs", "no CPU"],
)
def test_a_slice_is_whole_with_every_host_and_all_that_belongs_to_one(nodes, second):
    nodes(gpu_host(0), gpu_host(1))
    assert placement.whole_slices() == [(H100_16, "a")]
    nodes(gpu_host(0), second)
    assert placement.whole_slices() == []


def test_what_is_there_is_told_with_what_it_lacks(nodes):
    unknown = node({"slice-type": "h100-17", "slice-name": "d", "worker-id": "0"})
    nodes(gpu_host(0), gpu_host(1, GPU=4.0), cpu_host(1), unknown)
    with pytest.raises(UnavailableError) as refused, placement.reserved(H100_16, 0, lambda: None):
        pass
    assert str(refused.value) == (
        "the cluster has no whole h100-16 (2 hosts, 16 devices). It has 5 nodes with 16 CPUs, 12 GPUs: "
        "a cpu-2 called b with host 1; "
        "a h100-16 called a with hosts 0, 1, host 1 having only 4 of 8 GPUs; "
        "a h100-17 called d with host 0, a kind that is not known. "
        "Ask for a slice that is there, or see that all hosts of this one have joined, each with "
        "--labels=slice-type=h100-16,slice-name=NAME,worker-id=N, where N is 0 to 1."
    )


def test_a_run_takes_all_chips_of_a_host_and_where_there_are_none_all_cpus():
    assert placement.bundle(H100_16, cpus=64) == {"CPU": 1, "GPU": 8}
    assert placement.bundle(V2_8, cpus=96) == {"CPU": 1, "TPU": 4}
    assert placement.bundle(CPU_2, cpus=64) == {"CPU": 64}


@pytest.fixture
def on_node():
    """Makes the node of a host, with the given id, which accepts connections if `answers`."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))

        def make(host, identity, answers=True):
            address, port = (server if answers else silent).getsockname()
            return host | {"NodeID": identity, "NodeManagerAddress": address, "NodeManagerPort": port}

        yield make


def test_a_host_is_lost_although_another_one_has_taken_its_place(nodes, on_node):
    there = on_node(gpu_host(0), "first")
    nodes(there, on_node(gpu_host(1), "second"))
    assert placement.without_host(["first", "second"]) == set()
    nodes(there, on_node(gpu_host(1, alive=False), "second"), on_node(gpu_host(1), "third"))
    assert placement.whole_slices() == [(H100_16, "a")]
    assert placement.without_host(["first", "second"]) == {1}
    nodes(on_node(gpu_host(1), "third"), there)  # Ray has forgotten the lost one
    assert placement.without_host(["first", "second"]) == {1}


def test_a_host_that_does_not_answer_is_lost_before_ray_notices(nodes, on_node):
    nodes(on_node(gpu_host(0), "first", answers=False), on_node(gpu_host(1), "second"))
    assert placement.without_host(["first", "second"]) == {0}
