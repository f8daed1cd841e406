"""Compiling for a TPU slice without a TPU: the devices to compile for, and how the compiler rejects a program.

Needs libtpu, the extra `tpu-compile`. `make tpu-compile` installs it next to the packages and not among them, as JAX
looks for a TPU at every start if it can import libtpu; it is found there.
"""

import importlib.util
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
from jax.experimental import topologies

from aloe.errors import InputError, nearest
from cluster.slices import SLICES, Generation, Slice

BESIDE = Path(sys.prefix) / "tpu-compile"
CLOCK = {"v2": 700e6, "v3": 940e6}  # Hz; Jouppi et al., 2020 ("A domain-specific supercomputer …"), table 1
RESERVED = round(0.52 * 2**30)  # bytes per core; the compiler rejects what exceeds 7.48 GiB on v2, 15.48 on v3
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)([KMG])\b")


class DoesNotFitError(MemoryError):
    """The compiler's rejection of a program; `needed` is its own figure for the bytes needed per core."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        amounts = [float(number) * 2.0 ** (10 * (1 + "KMG".index(unit))) for number, unit in _AMOUNT.findall(message)]
        self.needed = round(amounts[0]) if amounts else None  # first the bytes used or required, then the limit


def known_slice(name: str) -> Slice:
    """The slice with this name. Raises InputError if there is none."""
    slices = {each.name: each for each in SLICES}
    if name not in slices:
        raise InputError(f"--slice={name}: no such slice{nearest(name, slices)} One of TPUs is, for example, v2-32.")
    return slices[name]


def compile_only_devices(place: Slice) -> list[Any]:
    """The devices of a slice in the order of a run there, for `jax.jit(…).lower(…).compile()` and nothing else.

    Everything else in this process runs on its CPU, so call this before JAX is used for anything.

    Raises:
      InputError: it is not a TPU slice, or libtpu is not installed.
    """
    if place.generation.resource != "TPU":
        raise InputError(
            f"{place.name}: only for slices of TPUs, such as v2-32, can be compiled where there is none. Of this one "
            f"launch/train.py --slice={place.name} --dry_run tells parameters, batch, checkpoint and memory by XLA for "
            "a CPU; what a step takes is measured by python -m benchmarks step, on such a machine."
        )
    if BESIDE.is_dir() and str(BESIDE) not in sys.path:
        sys.path.append(str(BESIDE))
    if "TPU_LIBRARY_PATH" not in os.environ and importlib.util.find_spec("libtpu") is None:
        raise InputError(
            "libtpu is not installed, which compiles for TPUs where there is none (484 MB). Install it with "
            "make tpu-compile, or with pip install -e '.[tpu-compile]'."
        )
    jax.config.update("jax_platforms", "cpu")
    # Read when libtpu is loaded: without them it looks for a TPU, and for the servers that would describe it.
    told = {
        "JAX_PLATFORMS": "cpu",
        "TPU_SKIP_MDS_QUERY": "1",
        "TPU_WORKER_HOSTNAMES": "localhost",
        "TPU_ACCELERATOR_TYPE": place.name,
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # another process may compile at the same time
    }
    os.environ.update(told)
    os.environ.setdefault("TPU_LOG_DIR", tempfile.gettempdir())
    devices = topologies.get_topology_desc(f"{place.generation.name}:{place.topology}", "tpu").devices
    return sorted(devices, key=lambda device: (device.process_index, device.id))


def described(place: Slice) -> dict[str, Any]:
    """The slice as the device entry of a results file."""
    generation = place.generation
    return {
        "platform": "tpu",
        "kind": f"TPU {generation.name}, compiled for {place} and not run,",
        "count": place.devices,
        "peak_flops": generation.peak_flops_per_device,
        "peak_source": "cluster/slices.py",
    }


def usable_memory(generation: Generation) -> int:
    """Bytes of a TPU device available to a program."""
    assert generation.memory_per_device is not None, generation
    return generation.memory_per_device - RESERVED


def compiled(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
    """Compiles a lowered program.

    Raises:
      DoesNotFitError: the program does not fit the device.
    """
    try:
        return lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if not str(error).startswith("RESOURCE_EXHAUSTED"):
            raise
        raise DoesNotFitError(str(error)) from error
