"""A slice emulated on this machine: a Ray head, and for every host a Ray node that presents itself as such a host.

Scheduling, job submission, logs and faults are real; JAX computes on the CPU. Everything listens on 127.0.0.1 only,
requires no token, and ends with the process that started it. On two idle cores a slice of four hosts takes about eleven
seconds and 2 GB.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil
import ray

from cluster.errors import ClusterError
from cluster.placement import labels
from cluster.slices import SLICES, Slice, slice_for_hosts, slice_named

ROOT = Path(__file__).resolve().parents[1]
ADDRESS_FILE = "ray_current_cluster"  # Ray's name for it; a node that has started has this file in its folder
DASHBOARD_PORT = 8265  # where `ray job submit` looks if it is given no address

_OBJECT_STORE_BYTES = 80 * 10**6  # Ray's minimum is 75 MB
_STARTED_WITHIN_S = 600  # for all nodes of a slice, on a machine that is busy with other work as well
_NODE_ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else Ray replaces 127.0.0.1 with the machine's external address
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    "RAY_JOB_STOP_WAIT_TIME_S": "600",  # how long a stopped job may take to save before SIGKILL; Ray's default is 3
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "5",
    "RAY_memory_monitor_refresh_ms": "0",  # each node would mistake the whole machine's memory use for its workers'
    # Ray's defaults, 30 to 60 seconds, are too short for five nodes starting at once on two cores.
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "300",
    "DASHBOARD_METRIC_PORT": "-1",  # else a fixed port, for which two clusters on one machine would compete
    "JAX_PLATFORMS": "cpu",
}


class EmulatedSlice:
    """Context manager: the slice is up inside the block, and none of its processes is left afterwards.

    Enter it in a thread that outlives the block, because the slice ends with the thread that started it.

    Args:
      slice: which slice to emulate; `add` emulates further ones in the same cluster.
      devices_per_host: CPU devices that JAX sees on each host.
      port: the dashboard's port; None picks a free one.
      environment: additional variables for the head and the hosts, and so for jobs and the processes of runs.

    Attributes:
      address: what `gang.connect` and RAY_ADDRESS take.
      dashboard: what `ray job submit --address` takes.
      folder: logs of the nodes; it is removed at the end, unless the block was left by an exception.

    Raises:
      ClusterError: the port is taken.
      RuntimeError: a node did not start; the message contains the end of its log.
    """

    def __init__(
        self,
        slice: Slice,
        *,
        devices_per_host: int = 2,
        port: int | None = DASHBOARD_PORT,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.slice = slice
        self.devices_per_host = devices_per_host
        self._port = _free_port() if port is None else port
        self._gcs_port = _free_port()
        self._environment = _inherited_environment() | _NODE_ENVIRONMENT | dict(environment or {})
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self._slices: dict[str, Slice] = {}
        self._hosts: dict[tuple[str, int], str] = {}  # by slice name and worker id, the name of the node
        self._started = 0
        self.address = f"127.0.0.1:{self._gcs_port}"
        self.dashboard = f"http://127.0.0.1:{self._port}"
        self.folder = Path()

    def __enter__(self) -> "EmulatedSlice":
        _refuse_taken_port(self._port)
        # The paths of Ray's sockets are some 65 characters longer, and a socket's path may have at most 107.
        parent = tempfile.gettempdir() if len(tempfile.gettempdir()) <= 20 else "/tmp"
        self.folder = Path(tempfile.mkdtemp(prefix="slice-", dir=parent))
        try:
            self._start_head()
            self.add(self.slice)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self._stop()
        if kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, slice: Slice) -> str:
        """Adds a slice to the cluster; returns its name once all its hosts have joined."""
        same = sum(each == slice for each in self._slices.values())
        name = f"emulated-{slice.name}" + (f"-{same}" if same else "")
        self._slices[name] = slice
        for worker_id in range(slice.hosts):
            self._start_host(name, worker_id)
        self._await_nodes()
        return name

    def lose(self, name: str, worker_id: int | None = None) -> None:
        """Kills all processes of one host of a slice, or of all its hosts, as when a machine is switched off."""
        hosts = range(self._slices[name].hosts) if worker_id is None else [worker_id]
        for host in hosts:
            node = self._nodes.pop(self._hosts.pop((name, host)))
            supervisor = psutil.Process(node.pid)
            for process in [supervisor, *supervisor.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            node.wait()

    def lost(self, name: str) -> list[int]:
        """Worker ids of a slice's hosts that have been lost and not replaced."""
        return [worker_id for worker_id in range(self._slices[name].hosts) if (name, worker_id) not in self._hosts]

    def replace(self, name: str, worker_id: int) -> None:
        """Starts a new host in place of a lost one; returns once it has joined."""
        self._start_host(name, worker_id)
        self._await_nodes()

    def check(self) -> None:
        """Raises RuntimeError, with the end of its log, if a node has ended."""
        for name, process in self._nodes.items():
            if process.poll() is not None:
                lines = self._log(name).read_text(errors="replace").splitlines()[-20:]
                text = "\n  ".join(lines)
                raise RuntimeError(f"node {name} of the emulated slice ended; the end of {self._log(name)}:\n  {text}")

    def _start_head(self) -> None:
        # `ray job submit -- python …` finds python on the PATH of the head, and its script in the head's folder.
        path = f"{Path(sys.executable).parent}{os.pathsep}{self._environment.get('PATH', os.defpath)}"
        dashboard = {"include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": self._port}
        self._start("head", {"PATH": path}, num_cpus=0, gcs_server_port=self._gcs_port, **dashboard)

    def _start_host(self, name: str, worker_id: int) -> None:
        slice = self._slices[name]
        environment = {"JAX_NUM_CPU_DEVICES": str(self.devices_per_host)}
        params: dict[str, object] = {"num_cpus": 1}
        if slice.generation.resource == "TPU":
            environment |= {  # from which Ray derives the labels of a TPU host
                "TPU_NAME": name,
                "TPU_WORKER_ID": str(worker_id),
                "TPU_ACCELERATOR_TYPE": slice.name,
                "TPU_TOPOLOGY": slice.topology,
            }
            params["resources"] = {"TPU": slice.generation.chips_per_host}
        else:
            params["labels"] = labels(slice, name, worker_id)
            if slice.generation.resource == "GPU":
                params["num_gpus"] = slice.generation.chips_per_host
            else:
                params["num_cpus"] = self.devices_per_host
        # Short, as it is part of the paths of sockets; and never reused, as Ray is slow to forget a lost node.
        node = self._hosts[name, worker_id] = f"host{worker_id}.{self._started}"
        self._started += 1
        self._start(node, environment, gcs_address=self.address, **params)

    def _start(self, name: str, environment: Mapping[str, str], **params: object) -> None:
        # Nodes that share a temp_dir delete each other's sockets and working directories.
        params |= {
            "node_name": name,
            "temp_dir": str(self.folder / name),
            "object_store_memory": _OBJECT_STORE_BYTES,
        }
        spec = json.dumps({"parent": os.getpid(), "head": name == "head", "params": params})
        with self._log(name).open("wb") as log:
            self._nodes[name] = subprocess.Popen(
                [sys.executable, "-m", "cluster.node", spec],
                cwd=ROOT,
                env=self._environment | dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is for the driver only
            )

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _await_nodes(self) -> None:
        """Waits until all nodes have started and the head knows them; after that, jobs can be submitted too."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + _STARTED_WITHIN_S
        started = 0
        while started < len(self._nodes):
            self.check()
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"after {_STARTED_WITHIN_S} s only {started} of {len(self._nodes)} nodes of the emulated slice are "
                    f"up; their logs are in {self.folder}"
                )
            time.sleep(0.2)
            try:
                with opener.open(f"{self.dashboard}/api/v0/nodes", timeout=10) as reply:
                    nodes = json.load(reply)["data"]["result"]["result"]
            except OSError:  # the dashboard is not up yet
                continue
            alive = {node["node_name"] for node in nodes if node["state"] == "ALIVE"}
            started = sum(name in alive and (self.folder / name / ADDRESS_FILE).exists() for name in self._nodes)

    def _stop(self) -> None:
        # Ray ends a process a minute after the head that it is connected to is gone.
        if ray.is_initialized() and ray.get_runtime_context().gcs_address == self.address:
            ray.shutdown()
        # The hosts first: one that is still starting does not react to signals while it looks for a head that is gone.
        head = [self._nodes.pop("head")] if "head" in self._nodes else []
        for group in (list(self._nodes.values()), head):
            _end(group)
        self._nodes.clear()


def _end(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """Ends them together: SIGTERM, on which a node ends whatever runs on it, then SIGKILL after twenty seconds."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + 20
    try:
        for process in processes:
            process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        pass
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _refuse_taken_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ClusterError(
                f"port {port} of 127.0.0.1 is taken ({error.strerror}), perhaps by another Ray cluster: use that one, "
                "end it, or pick another port (--port; `ray job submit --address=http://127.0.0.1:PORT` finds it)."
            ) from error


def _inherited_environment() -> dict[str, str]:
    """This process's environment, without what would point the nodes at another cluster or other devices."""
    # A proxy would come between the nodes, and Ray refuses more GPUs than are visible.
    foreign = re.compile(r"(RAY|TPU|MEGASCALE)_.*|CUDA_VISIBLE_DEVICES|.*_proxy", re.IGNORECASE)
    environment = {key: value for key, value in os.environ.items() if not foreign.fullmatch(key)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")]))
    if "XLA_FLAGS" in environment:  # JAX_NUM_CPU_DEVICES sets the count, and JAX accepts only one of the two
        flags = re.sub(r"--xla_force_host_platform_device_count=\S+", "", environment["XLA_FLAGS"])
        environment["XLA_FLAGS"] = flags
    return environment


def main() -> None:
    """Runs an emulated slice until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--hosts", type=int, default=4, help="use the smallest slice with this many hosts")
    which.add_argument("--slice", help=f"slice by name: {', '.join(each.name for each in SLICES)}")
    parser.add_argument("--devices_per_host", type=int, default=2, help="CPU devices that JAX sees on each host")
    parser.add_argument("--port", type=int, default=DASHBOARD_PORT, help="dashboard port; 0 picks a free one")
    flags = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        slice = slice_named(flags.slice) if flags.slice else slice_for_hosts(flags.hosts)
        print(f"starting {slice}, emulated …", flush=True)
        with EmulatedSlice(slice, devices_per_host=flags.devices_per_host, port=flags.port or None) as emulated:
            where = "" if flags.port == DASHBOARD_PORT else f"--address={emulated.dashboard} "
            print(
                f"ready: {slice.hosts * flags.devices_per_host} CPU devices, dashboard {emulated.dashboard}\n"
                f"  a job:     ray job submit {where}-- python SCRIPT\n"
                f"  a script:  RAY_ADDRESS={emulated.address} python SCRIPT\n"
                f"  logs:      {emulated.folder}\n"
                "Ctrl-C ends it.",
                flush=True,
            )
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    emulated.check()
                    time.sleep(0.5)
        print("ended", flush=True)
    except KeyboardInterrupt:
        print("ended while it was starting", flush=True)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
