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


def visible_devices() -> tuple[Place, ...]:
    """One place for every device that JAX sees from here, with the variables that leave a process just that one.

    On a GPU machine CUDA_VISIBLE_DEVICES chooses among the devices, on a CPU JAX_NUM_CPU_DEVICES says how many there
    are. A TPU host is one place with all its devices: its chips know of each other.

    Raises:
      ClusterError: JAX does not start here.
    """
    # In a process of its own: one that has looked at a GPU holds some of its memory.
    looked = subprocess.run([sys.executable, "-c", _COUNT], capture_output=True, text=True)
    if looked.returncode:
        reason = (looked.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ClusterError(f"JAX finds no device on this machine: {reason}")
    backend, count = json.loads(looked.stdout.splitlines()[-1])
    if backend == "gpu":
        names = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))
        return tuple(_place(f"gpu:{name}", CUDA_VISIBLE_DEVICES=name) for name in names.split(",")[:count])
    if backend == "cpu":
        return tuple(_place(f"cpu:{number}", **_one_cpu_device()) for number in range(count))
    return (_place(backend),)


def _place(name: str, **environment: str) -> Place:
    return Place(name, DEVICE, tuple(environment.items()))


def _one_cpu_device() -> dict[str, str]:
    flags = re.sub(r"--xla_force_host_platform_device_count=\S+", "", os.environ.get("XLA_FLAGS", ""))
    return {"JAX_NUM_CPU_DEVICES": "1", "XLA_FLAGS": flags}  # JAX takes the count from only one of the two
