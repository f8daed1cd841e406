"""One Ray node of an emulated slice: the process that EmulatedSlice starts for the head and for every host.

It does what `ray start --block` does, except for the address: that command replaces 127.0.0.1 with the machine's
external address, and Ray then listens on every interface. A cluster that requires no token must be reachable only from
this machine.
"""

import contextlib
import json
import os
import sys
import time

import psutil
from ray._private.node import Node
from ray._private.parameter import RayParams
from ray._private.utils import write_ray_address

from cluster.lifeline import adopt_orphans, end_with


def main(specification: str) -> None:
    """Runs a node until SIGTERM, or until one of its processes or its parent dies, and leaves no process behind.

    Args:
      specification: JSON of {"parent": process id, "head": bool, "params": fields of RayParams}.
    """
    spec = json.loads(specification)
    adopt_orphans()
    end_with(spec["parent"])
    params = RayParams(
        node_ip_address="127.0.0.1",
        min_worker_port=0,
        max_worker_port=0,
        dashboard_agent_listen_port=0,
        metrics_agent_port=0,
        metrics_export_port=0,
        runtime_env_agent_port=0,
        no_monitor=True,
        **spec["params"],
    )
    node = None
    try:
        node = Node(params, head=spec["head"], shutdown_at_exit=True, spawn_reaper=True)
        write_ray_address(node.gcs_address, params.temp_dir)  # where a submitted job looks for its cluster
        while not (dead := node.dead_processes()):
            time.sleep(0.5)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG) != (0, 0):  # an adopted driver, whose supervisor waits for its end
                    pass
        sys.exit(f"{params.node_name}: {', '.join(kind for kind, _ in dead)} died")
    finally:
        if node is not None:
            node.kill_all_processes(check_alive=False, allow_graceful=True)
        _kill_children()


def _kill_children() -> None:
    """Kills what Ray leaves behind: workers that save on SIGTERM, the drivers of jobs and their watchers."""
    while children := psutil.Process().children(recursive=True):
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


if __name__ == "__main__":
    main(sys.argv[1])
