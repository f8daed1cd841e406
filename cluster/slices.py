"""Slices: groups of identical hosts that a run takes whole, with their chips, hosts and devices.

Sources: Google Cloud's pages "TPU v2" and "TPU v3" (system architecture, configurations) for chips, memory and peak
rates; Ray's table of valid topologies agrees. On both generations a chip has two cores, a host has four chips, and JAX
treats each core as a device with half of the chip's memory. NVIDIA's datasheets of the H100 and the H200 (SXM) for
memory and peak rates (half of the rates given with sparsity), and of the HGX boards for eight GPUs per host; JAX treats
a GPU as a device. A host without either is a single device to JAX; its memory and speed depend on the machine.
"""

import dataclasses
import difflib
import math

from cluster.errors import ClusterError


@dataclasses.dataclass(frozen=True)
class Generation:
    """Properties shared by the slices of a generation.

    Attributes:
      name: the first part of its slices' names.
      resource: Ray's name for its chips, "TPU" or "GPU"; "CPU" if hosts have none, and each host counts as one chip.
      chips_per_host: number of chips per host.
      cores_per_chip: number of JAX devices per chip.
      memory_per_chip: in bytes; None where machines differ.
      peak_flops_per_chip: dense bfloat16 operations per second; None where machines differ.
    """

    name: str
    resource: str
    chips_per_host: int
    cores_per_chip: int
    memory_per_chip: int | None
    peak_flops_per_chip: float | None

    @property
    def devices_per_host(self) -> int:
        return self.chips_per_host * self.cores_per_chip

    @property
    def memory_per_device(self) -> int | None:
        return None if self.memory_per_chip is None else self.memory_per_chip // self.cores_per_chip

    @property
    def peak_flops_per_device(self) -> float | None:
        return None if self.peak_flops_per_chip is None else self.peak_flops_per_chip / self.cores_per_chip


@dataclasses.dataclass(frozen=True)
class Slice:
    """A slice, identified by its name, which counts devices, as Google's names do.

    `topology` is the grid of its chips, such as "4x4"; "16" means sixteen chips that form no grid.
    """

    name: str
    generation: Generation
    topology: str

    @property
    def chips(self) -> int:
        return math.prod(int(side) for side in self.topology.split("x"))

    @property
    def hosts(self) -> int:
        return self.chips // self.generation.chips_per_host

    @property
    def devices(self) -> int:
        return self.chips * self.generation.cores_per_chip

    def __str__(self) -> str:
        hosts = "1 host" if self.hosts == 1 else f"{self.hosts} hosts"
        chips = f", {self.chips} chips" if self.chips != self.devices else ""
        devices = "1 device" if self.devices == 1 else f"{self.devices} devices"
        return f"{self.name} ({hosts}{chips}, {devices})"


V2 = Generation("v2", "TPU", chips_per_host=4, cores_per_chip=2, memory_per_chip=16 * 2**30, peak_flops_per_chip=46e12)
V3 = Generation("v3", "TPU", chips_per_host=4, cores_per_chip=2, memory_per_chip=32 * 2**30, peak_flops_per_chip=123e12)
H100 = Generation(
    "h100", "GPU", chips_per_host=8, cores_per_chip=1, memory_per_chip=80 * 2**30, peak_flops_per_chip=989.4e12
)
H200 = Generation(
    "h200", "GPU", chips_per_host=8, cores_per_chip=1, memory_per_chip=141 * 2**30, peak_flops_per_chip=989.4e12
)
CPU = Generation("cpu", "CPU", chips_per_host=1, cores_per_chip=1, memory_per_chip=None, peak_flops_per_chip=None)

SLICES = (
    Slice("v2-8", V2, "2x2"),
    Slice("v2-32", V2, "4x4"),
    Slice("v2-128", V2, "8x8"),
    Slice("v2-256", V2, "8x16"),
    Slice("v2-512", V2, "16x16"),
    Slice("v3-8", V3, "2x2"),
    Slice("v3-32", V3, "4x4"),
    Slice("v3-128", V3, "8x8"),
    Slice("v3-256", V3, "8x16"),
    Slice("v3-512", V3, "16x16"),
    Slice("v3-1024", V3, "16x32"),
    Slice("v3-2048", V3, "32x32"),
    Slice("h100-8", H100, "8"),
    Slice("h100-16", H100, "16"),
    Slice("h100-32", H100, "32"),
    Slice("h100-64", H100, "64"),
    Slice("h200-8", H200, "8"),
    Slice("h200-16", H200, "16"),
    Slice("h200-32", H200, "32"),
    Slice("h200-64", H200, "64"),
    Slice("cpu-1", CPU, "1"),
    Slice("cpu-2", CPU, "2"),
    Slice("cpu-4", CPU, "4"),
    Slice("cpu-8", CPU, "8"),
)


def slice_named(name: str) -> Slice:
    """Finds a slice by its name, such as "v2-32".

    Raises:
      ClusterError: there is none of that name.
    """
    slices = {each.name: each for each in SLICES}
    if name in slices:
        return slices[name]
    close = difflib.get_close_matches(name, slices, 1)
    hint = f"; did you mean {close[0]}?" if close else "."
    raise ClusterError(f"no slice is called {name!r}{hint} There are: {', '.join(slices)}.")


def slice_for_hosts(hosts: int) -> Slice:
    """Finds the slice with this number of TPU hosts, of the first generation in the table that has one.

    Raises:
      ClusterError: no slice has that number of hosts.
    """
    of_tpus = [each for each in SLICES if each.generation.resource == "TPU"]
    for each in of_tpus:
        if each.hosts == hosts:
            return each
    sizes = sorted({each.hosts for each in of_tpus})
    nearest = min(sizes, key=lambda size: abs(size - hosts))
    raise ClusterError(
        f"no slice of TPUs has {hosts} hosts; the nearest has {nearest}. Sizes: {', '.join(map(str, sizes))} hosts. "
        "Slices of GPU and CPU hosts are asked for by name, such as --slice=h100-16."
    )
