"""The devices of this machine as places of the run queue."""

import json
import os
import re
import subprocess
import sys

from cluster.attempt import DEVICE
from cluster.errors import ClusterError
from cluster.policy import Place

_COUNT = "import jax, json; print(json.dumps([jax.default_backend(), jax.local_device_count()]))"
OF_JAX = 0.75  # fraction of a GPU's memory that JAX takes by default
MEMORY_FRACTION = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION")  # the latter is the former's old name


def visible_devices(runs_each: int = 1) -> tuple[Place, ...]:
    """Places for every device that JAX sees from here, with the variables that restrict a process to that device.

    On a GPU machine CUDA_VISIBLE_DEVICES selects among the devices; on a CPU JAX_NUM_CPU_DEVICES sets how many there
    are. A TPU host is one place with all its devices, because its chips know of each other.

    Args:
      runs_each: places per device. Runs that share a GPU get equal parts of the memory that JAX would take.

    Raises:
      ClusterError: JAX does not start here; or several runs were to share a TPU, whose chips belong to one process.
    """
    # In a separate process, because one that has looked at a GPU holds some of its memory.
    looked = subprocess.run([sys.executable, "-c", _COUNT], capture_output=True, text=True)
    if looked.returncode:
        reason = (looked.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ClusterError(f"JAX finds no device on this machine: {reason}")
    backend, count = json.loads(looked.stdout.splitlines()[-1])
    if backend == "gpu":
        names = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))
        devices = [(f"gpu:{name}", {"CUDA_VISIBLE_DEVICES": name}) for name in names.split(",")[:count]]
        if runs_each > 1 and not any(name in os.environ for name in MEMORY_FRACTION):
            part = str(round(OF_JAX / runs_each, 3))
            devices = [(name, environment | {MEMORY_FRACTION[0]: part}) for name, environment in devices]
    elif backend == "cpu":
        devices = [(f"cpu:{number}", _one_cpu_device()) for number in range(count)]
    else:
        devices = [(backend, {})]
        if runs_each > 1:
            raise ClusterError(
                f"A {backend.upper()}'s chips belong to one process at a time; leave out --runs_per_device."
            )
    return tuple(
        Place(f"{name}/{number}" if number else name, DEVICE, tuple(environment.items()))
        for number in range(runs_each)
        for name, environment in devices
    )


def _one_cpu_device() -> dict[str, str]:
    flags = re.sub(r"--xla_force_host_platform_device_count=\S+", "", os.environ.get("XLA_FLAGS", ""))
    return {"JAX_NUM_CPU_DEVICES": "1", "XLA_FLAGS": flags}  # JAX accepts the count from only one of the two
