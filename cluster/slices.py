"""TPU slices: the sizes that can be rented, with their chips, hosts and devices.

Sources: Google Cloud's pages "TPU v2" and "TPU v3" (system architecture, configurations) for chips, memory and peak
rates; Ray's table of valid topologies agrees. On both generations a chip has two cores, a host four chips, and JAX
takes each core as a device with half of the chip's memory.
"""

import dataclasses
import difflib
import math

from cluster.errors import ClusterError


@dataclasses.dataclass(frozen=True)
class Generation:
    """What the slices of a generation share. Memory is in bytes, the peak rate in bfloat16 operations per second."""

    name: str
    cores_per_chip: int
    chips_per_host: int
    memory_per_chip: int
    peak_flops_per_chip: float

    @property
    def devices_per_host(self) -> int:
        return self.chips_per_host * self.cores_per_chip

    @property
    def memory_per_device(self) -> int:
        return self.memory_per_chip // self.cores_per_chip


@dataclasses.dataclass(frozen=True)
class Slice:
    """A slice by its official name, which counts cores; `topology` is its grid of chips, such as "4x4"."""

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
        return f"{self.name} ({hosts}, {self.chips} chips, {self.devices} devices)"


V2 = Generation("v2", cores_per_chip=2, chips_per_host=4, memory_per_chip=16 * 2**30, peak_flops_per_chip=46e12)
V3 = Generation("v3", cores_per_chip=2, chips_per_host=4, memory_per_chip=32 * 2**30, peak_flops_per_chip=123e12)

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
    """Finds the slice of so many hosts, of the first generation in the table that has one.

    Raises:
      ClusterError: no slice has that number of hosts.
    """
    for each in SLICES:
        if each.hosts == hosts:
            return each
    sizes = sorted({each.hosts for each in SLICES})
    nearest = min(sizes, key=lambda size: abs(size - hosts))
    raise ClusterError(
        f"no slice has {hosts} hosts; the nearest has {nearest}. Sizes: {', '.join(str(size) for size in sizes)} hosts."
    )
