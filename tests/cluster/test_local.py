"""Devices of this machine as places."""

import subprocess

import pytest

from cluster import local
from cluster.errors import ClusterError


@pytest.fixture
def jax_sees(monkeypatch):
    """Fakes the result of the process that looks for devices."""

    def sees(status, out, error=""):
        monkeypatch.setattr(
            local.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, status, out, error)
        )

    return sees


def test_every_cpu_device_is_a_place_whose_processes_see_one(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "3")
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/tmp/x")
    places = local.visible_devices()
    assert [str(place) for place in places] == ["device cpu:0", "device cpu:1", "device cpu:2"]
    for name, value in places[2].environment:
        monkeypatch.setenv(name, value)
    assert [place.name for place in local.visible_devices()] == ["cpu:0"]
    assert dict(places[0].environment)["XLA_FLAGS"] == "--xla_dump_to=/tmp/x"


@pytest.mark.parametrize(
    ("visible", "count", "expected"),
    [(None, 2, ["0", "1"]), ("4,7", 2, ["4", "7"]), ("GPU-8a5f,MIG-77", 2, ["GPU-8a5f", "MIG-77"])],
)
def test_every_gpu_is_a_place_of_its_own(monkeypatch, jax_sees, visible, count, expected):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    jax_sees(0, f'a warning\n["gpu", {count}]\n')
    places = local.visible_devices()
    assert [dict(place.environment) for place in places] == [{"CUDA_VISIBLE_DEVICES": name} for name in expected]
    assert len({place.name for place in places}) == count


def test_runs_that_share_a_gpu_share_its_memory(monkeypatch, jax_sees):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name in local.MEMORY_FRACTION:
        monkeypatch.delenv(name, raising=False)
    jax_sees(0, '["gpu", 2]\n')
    places = local.visible_devices(3)
    # Every device has one run before any device has two.
    assert [place.name for place in places] == ["gpu:0", "gpu:1", "gpu:0/1", "gpu:1/1", "gpu:0/2", "gpu:1/2"]
    assert [dict(place.environment) for place in places[:2]] == [
        {"CUDA_VISIBLE_DEVICES": name, "XLA_CLIENT_MEM_FRACTION": "0.25"} for name in "01"
    ]
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", ".1")  # JAX refuses both names at once
    assert dict(local.visible_devices(3)[0].environment) == {"CUDA_VISIBLE_DEVICES": "0"}


def test_runs_that_share_a_cpu_are_places_of_their_own(jax_sees):
    jax_sees(0, '["cpu", 1]\n')
    assert [place.name for place in local.visible_devices(2)] == ["cpu:0", "cpu:0/1"]


def test_a_tpu_is_not_shared(jax_sees):
    jax_sees(0, '["tpu", 8]\n')
    with pytest.raises(ClusterError, match="leave out --runs_per_device"):
        local.visible_devices(2)


def test_a_tpu_host_is_one_place(jax_sees):
    jax_sees(0, '["tpu", 8]\n')
    (place,) = local.visible_devices()
    assert place.environment == ()


def test_a_machine_where_jax_does_not_start_is_refused_with_the_reason(jax_sees):
    jax_sees(1, "", "Traceback …\nRuntimeError: Unable to initialize backend 'cuda'\n")
    with pytest.raises(ClusterError, match="JAX finds no device on this machine: RuntimeError: Unable to init"):
        local.visible_devices()
