"""A small but real training run on the hosts of a slice, and the faults that strike it."""

import contextlib
import os
import resource
import signal
import time
from pathlib import Path

import jax
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from aloe.training import checkpoints, clock, loop, workdir
from cluster import watchdog
from cluster.host import Host
from launch import programs
from tests.training.toy import Toy
from tests.waiting import wait_for

STEP_S = 0.03  # slept in every step, which would otherwise be over before a fault could strike


def train(config):
    """Runs the training loop on the toy task. config["fault"]: kind, rank, step, and whether it strikes only `once`."""
    resolved = ConfigDict(config["run"])
    fault = config.get("fault") or {}
    kind = fault.get("kind")
    struck = Path(resolved.workdir) / "struck"
    strikes = kind and not (fault["once"] and struck.exists())
    armed = strikes and jax.process_index() == fault["rank"]
    every = resolved.training.checkpoint_every_steps

    def strike(how):
        struck.touch()
        FAULTS[how]()

    def stop(step):
        time.sleep(5 * STEP_S if armed and kind in ("slow", "SIGTERM while saving") else STEP_S)
        if strikes and step == fault["step"] and kind in FAULTS:
            # Checkpoints are written while steps run. An activity of this name has no learned limit yet.
            watchdog.mark("the checkpoint before the fault", step)
            wait_for((Path(resolved.workdir) / workdir.CHECKPOINTS / str(step // every * every)).exists, 300)
            watchdog.mark(clock.HOST, step - 1)
            if armed:
                strike(kind)
        return multihost_utils.reached_preemption_sync_point(step)

    save = checkpoints.Checkpoints.save

    def struck_while_saving(self, step, state):
        if kind == "full disk while saving" and step >= fault["step"]:
            strike("full disk")
        save(self, step, state)
        if step >= fault["step"] and kind.startswith("SIG"):
            strike(kind.removesuffix(" while saving"))

    if armed and kind.endswith("saving"):
        checkpoints.Checkpoints.save = struck_while_saving
    toy = Toy(noise=0.1, broken_from=fault["step"] if kind == "NaN" else None)
    main = jax.process_index() == 0
    with programs.alone(workdir.claim(resolved), "rank 0") if main else contextlib.nullcontext():
        return loop.train(toy, resolved, stop, clock.Clock(watchdog.mark))


def hang():
    while True:
        time.sleep(1)


def fail():
    raise ValueError("the program is wrong")


def fill_disk():
    """From now on, no file of this process can grow beyond 64 bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))


FAULTS = {
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "SIGSTOP": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "hang": hang,
    "lost": hang,  # the test sees that it has struck, and takes the machine away; until then the others wait
    "exception": fail,
    "full disk": fill_disk,
    "NaN": lambda: None,  # it is in the data
}


class HostWithoutPort(Host):
    """A host whose coordinator port is taken in the very first attempt."""

    def coordinator_address(self):
        import socket

        address = super().coordinator_address()
        first = Path(os.environ["FIRST_ATTEMPT"])
        if not hasattr(self, "_taken"):
            self._taken = None
            with contextlib.suppress(FileExistsError):
                first.touch(exist_ok=False)
                self._taken = socket.create_server((address.partition(":")[0], int(address.rpartition(":")[2])))
        return address
