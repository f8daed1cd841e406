"""Devices of this machine as places."""

import subprocess

import pytest

from cluster import local
from cluster.errors import ClusterError


@pytest.fixture
def jax_sees(monkeypatch):
    """Makes the look at the devices say this."""

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


def test_a_tpu_host_is_one_place(jax_sees):
    jax_sees(0, '["tpu", 8]\n')
    (place,) = local.visible_devices()
    assert place.environment == ()


def test_a_machine_where_jax_does_not_start_is_refused_with_the_reason(jax_sees):
    jax_sees(1, "", "Traceback …\nRuntimeError: Unable to initialize backend 'cuda'\n")
    with pytest.raises(ClusterError, match="JAX finds no device on this machine: RuntimeError: Unable to init"):
        local.visible_devices()
