"""Peak rates and memory of devices, so that a measured rate can be given as a share of peak."""

import dataclasses
from collections.abc import Mapping

import jax
import psutil

from cluster.slices import H100, H200, V2, V3, Generation


@dataclasses.dataclass(frozen=True)
class Peak:
    """Dense bfloat16 operations per second of one JAX device, and the source of the figure."""

    flops: float
    source: str


def _of_generation(generation: Generation) -> Peak:
    assert generation.peak_flops_per_device is not None
    return Peak(generation.peak_flops_per_device, "cluster/slices.py")


_TPU = "cloud.google.com/tpu/docs, system architecture"

# By `jax.Device.device_kind`. The peak of any other device is unknown, and no share of it is given.
PEAKS: Mapping[str, Peak] = {
    "NVIDIA H100 80GB HBM3": _of_generation(H100),
    "NVIDIA H200": _of_generation(H200),
    "NVIDIA A100-SXM4-40GB": Peak(312e12, "datasheet of the A100"),
    "NVIDIA A100-SXM4-80GB": Peak(312e12, "datasheet of the A100"),
    "NVIDIA L4": Peak(121e12, "datasheet of the L4, half of the figure with sparsity"),
    "TPU v2": _of_generation(V2),
    "TPU v3": _of_generation(V3),
    "TPU v4": Peak(275e12, _TPU),
    "TPU v5 lite": Peak(197e12, _TPU),
    "TPU v5": Peak(459e12, _TPU),
    "TPU v6 lite": Peak(918e12, _TPU),
}


def peak(device: jax.Device) -> Peak | None:
    return PEAKS.get(device.device_kind)


def memory_limit(device: jax.Device) -> int:
    """Bytes that programs may use: of the device or, on a CPU, what the machine has available."""
    stats = device.memory_stats() or {}
    return stats.get("bytes_limit") or psutil.virtual_memory().available


def peak_memory(device: jax.Device) -> int | None:
    """Peak bytes in use since the process started, if the device reports them."""
    return (device.memory_stats() or {}).get("peak_bytes_in_use")
