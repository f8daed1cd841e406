"""Programs that the tests run, on the hosts of an emulated slice or in a single process."""

import itertools
import json
import os
import signal
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import ray
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from cluster import watchdog
from cluster.barrier import barrier
from cluster.errors import ClusterError


def describe(config):
    """Prints a line on every host; returns what the process was given, and the sum of the ranks over all devices."""
    print(f"this is rank {jax.process_index()} of {jax.process_count()}")
    return {
        "config": config,
        "worker_ids": _gather(int(os.environ["TPU_WORKER_ID"])),
        "devices": [jax.local_device_count(), jax.device_count()],
        "sum": _sum_over_devices(jax.process_index()),
        "megascale": [name for name in os.environ if name.startswith("MEGASCALE_")],
        "extra": os.environ.get("EXTRA"),
    }


def stay(config):
    """Every rank writes what it was given to a file named after the rank, and stays until config["until"] exists."""
    context = ray.get_runtime_context()
    given = {
        "labels": next(node["Labels"] for node in ray.nodes() if node["NodeID"] == context.get_node_id()),
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        "cpus": context.get_assigned_resources()["CPU"],
        "sum": _sum_over_devices(jax.process_index() + 1),
        "came": time.time(),
    }
    partial = Path(config["folder"], f".{jax.process_index()}")
    partial.write_text(json.dumps(given))
    partial.rename(partial.with_name(str(jax.process_index())))
    while not Path(config["until"]).exists():
        time.sleep(0.1)
    return {"came": given["came"], "left": time.time()}


def fail(config):
    """Rank config["rank"] fails at its third step, while the others hang in a collective, waiting for it."""
    for step in range(3):
        if step == 2 and jax.process_index() == config["rank"]:
            if config["how"] == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if config["how"] == "message":
                raise ClusterError("the third step is missing")
            raise ValueError("the third step is bad")
        _sum_over_devices(1)


def refuse(config):
    """All ranks refuse their config, once all have reached a barrier."""
    barrier("refuse", 300)
    raise ClusterError(f"field {config['field']}: not good")


def train_until_stopped(config):
    """Takes steps until asked to stop; then every host writes down its step, slowly, as if saving, and returns."""
    folder = Path(config["folder"])
    for step in range(10**6):
        _sum_over_devices(1)
        if multihost_utils.reached_preemption_sync_point(step):
            time.sleep(config["saving_s"])
            (folder / f"saved{jax.process_index()}").write_text(str(step))
            return step
        if step == 3:
            (folder / f"training{jax.process_index()}").touch()
    raise AssertionError("nobody stopped it")


def write_on(config):
    """Every rank writes to its own file from a thread, and never returns; rank config["rank"] is stopped (SIGSTOP)."""
    folder, rank = Path(config["folder"]), jax.process_index()
    writing = threading.Event()

    def write():
        with (folder / f"written{rank}").open("w") as file:
            while True:
                file.write("on")
                file.flush()
                writing.set()
                time.sleep(0.001)

    threading.Thread(target=write, daemon=True).start()
    writing.wait()  # otherwise a rank might be stopped before its file exists
    (folder / f"training{rank}").touch()
    if rank == config["rank"]:
        os.kill(os.getpid(), signal.SIGSTOP)
    _never_return()


def stand_still(config):
    """Rank config["rank"] hangs at step 10, and the others wait for it in a collective."""
    for step in range(10**6):
        watchdog.mark("input", step)
        if step == 10 and jax.process_index() == config["rank"]:
            _never_return()
        watchdog.mark("step", step)
        _sum_over_devices(1)


def _never_return():
    while True:
        time.sleep(0.1)


def be_told_to_leave(config):
    """Rank config["rank"] gets SIGTERM at step 3; all ranks leave at the same step, and report it."""
    for step in range(10**6):
        if step == 3 and jax.process_index() == config["rank"]:
            os.kill(os.getpid(), signal.SIGTERM)
        _sum_over_devices(1)
        if multihost_utils.reached_preemption_sync_point(step):
            return {"stopped": True, "steps": _gather(step)}
    raise AssertionError("nobody stopped it")


def count_up(config):
    """Counts to config["to"], one line per step in the file config["trail"], resuming where an earlier attempt stopped.

    Every line holds the id of the process that wrote it. Leaves when asked to. If config["first_stays_at"] is given,
    the first attempt stays at that step until it is asked to leave or killed.
    """
    trail = Path(config["trail"])
    first = len(trail.read_text().splitlines()) if trail.exists() else 0
    for step in range(first, config["to"]):
        if first == 0 and step == config.get("first_stays_at"):
            return _stay_until_asked_to_leave(step)
        with trail.open("a") as file:
            file.write(f"{os.getpid()}\n")
        print(f"step {step}", flush=True)
        time.sleep(0.1)
        if multihost_utils.reached_preemption_sync_point(step):
            return {"stopped": True, "step": step}
    return {"stopped": False, "step": config["to"]}


def _stay_until_asked_to_leave(step):
    for point in itertools.count(step):  # the step passed to it must increase
        if multihost_utils.reached_preemption_sync_point(point):
            return {"stopped": True, "step": step}
        time.sleep(0.1)
    raise AssertionError("it counts for ever")


def end_somehow(config):
    """Ends in the way given by config["how"]."""
    if config["how"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if config["how"] == "refuse":
        raise ClusterError("field x: not good")
    if config["how"] == "raise":
        raise FloatingPointError("step 3: loss not finite")
    return {"devices": jax.device_count(), "config": config}


def _sum_over_devices(value):
    """Contributes `value` from every device of this process; returns the sum over the devices of all processes."""
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    add = jax.shard_map(
        lambda x: jax.lax.psum(x.sum(), "data"), mesh=mesh, in_specs=PartitionSpec("data"), out_specs=PartitionSpec()
    )
    local = np.full((jax.local_device_count(),), value, np.float32)
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    return float(jax.jit(add)(jax.make_array_from_process_local_data(sharding, local)))


def _gather(value):
    return np.asarray(multihost_utils.process_allgather(jnp.asarray(value))).reshape(-1).tolist()
