"""Sharded, asynchronous checkpoints of a replicated state: every host writes its share (Orbax).

Orbax writes each shard of an array once, from its first replica, so a state that is replicated for data parallelism
would be written by one host alone. `host_share` gives every array a sharding over hosts for the duration of the save;
this transfers no bytes, as each host holds the whole state and only slices it. A restore reads whole arrays onto any
number of hosts.
"""

import math
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from aloe.paths import absolute, move
from aloe.training.state import TrainState

STATE = "state"
BROKEN = "broken-checkpoints"  # next to the checkpoint folder


class Checkpoints:
    """The checkpoints of one run, in `folder`; a checkpoint is either complete or absent."""

    def __init__(self, folder: epath.Path, mesh: Mesh, config: ConfigDict, *, read_only: bool = False) -> None:
        """Opens the folder, removing what a crash left half-written.

        Args:
          folder: created if absent; all hosts must see the same one.
          mesh: the run's mesh; a restored state is replicated over it.
          config: `config.training`: how often to save and how many to keep.
          read_only: leaves the folder untouched, as a run may be saving into it.
        """
        policies = ocp.checkpoint_managers
        self.mesh = mesh
        self.manager = ocp.CheckpointManager(
            absolute(folder),
            options=ocp.CheckpointManagerOptions(
                # Process 0 decides by its clock and tells the others: hosts' own clocks would lead to different steps.
                save_decision_policy=policies.AnySavePolicy(
                    [
                        policies.FixedIntervalPolicy(config.checkpoint_every_steps),
                        policies.ContinuousCheckpointingPolicy(
                            minimum_interval_secs=int(60 * config.checkpoint_every_minutes)
                        ),
                    ]
                ),
                preservation_policy=policies.LatestN(config.keep_checkpoints),
                cleanup_tmp_directories=not read_only,
                create=not read_only,
            ),
            item_names=(STATE,),
        )

    def due(self, step: int) -> bool:
        """Whether the state after `step` steps should be saved now; the same answer on every host."""
        return self.manager.should_save(step)

    def save(self, step: int, state: TrainState) -> None:
        """Starts saving the state after `step` steps, unless it is already saved; returns once it has been copied."""
        if self.manager.latest_step() == step:
            return
        shares = jax.tree.map(lambda leaf: host_share(leaf.shape, self.mesh), state)
        shared = jax.jit(unchanged, out_shardings=shares)(state)
        self.manager.save(step, args=ocp.args.Composite(**{STATE: ocp.args.StandardSave(shared)}), force=True)

    def latest(self) -> int | None:
        """Step of the latest complete checkpoint; None if there is none."""
        return self.manager.latest_step()

    def restore(self, abstract: TrainState) -> TrainState:
        """The latest state, replicated over the mesh. `abstract` gives shapes and dtypes."""
        step = self.latest()
        assert step is not None, "there is no checkpoint"
        return self._restore(step, abstract)

    def restore_readable(self, abstract: TrainState) -> TrainState:
        """Like `restore`, for the latest checkpoint that can be read; newer ones are moved aside, into `BROKEN`.

        Raises:
          Exception: none can be read; all stay where they are, and the error is that of the latest.
        """
        first_error = None
        broken: list[int] = []
        for step in sorted(self.manager.all_steps(), reverse=True):
            state, error = None, None
            try:
                state = self._restore(step, abstract)
            except Exception as caught:  # a damaged file can raise anything
                error = caught
            if on_all_hosts(state is not None):
                self._put_aside(broken)
                assert state is not None
                return state
            broken.append(step)
            first_error = first_error or error or OSError(f"checkpoint {step}: another host cannot read it")
        raise first_error or FileNotFoundError(f"{self.manager.directory}: no checkpoint")

    def _restore(self, step: int, abstract: TrainState) -> TrainState:
        replicated = NamedSharding(self.mesh, PartitionSpec())
        target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=replicated), abstract)
        args = ocp.args.Composite(**{STATE: ocp.args.StandardRestore(target)})
        state: TrainState = self.manager.restore(step, args=args)[STATE]
        return state

    def _put_aside(self, steps: Sequence[int]) -> None:
        folder = self.manager.directory
        if jax.process_index() == 0:
            for step in steps:
                aside = folder.parent / BROKEN / f"{step}-{time.time():.0f}"
                move(folder / str(step), aside)
                print(f"the checkpoint of step {step} cannot be read; it is put aside as {aside}", flush=True)
        if steps:
            on_all_hosts(True)
            self.manager.reload()

    def part(self, name: str) -> Any:
        """The parameters of one part of the model at the latest step, on the host; None if it has no such part.

        Reading them needs nothing from the task: shapes come from the stored metadata. Keys are strings, for lists too.
        """
        folder = self.manager.directory / str(self.latest()) / STATE
        reader = ocp.PyTreeCheckpointHandler()
        try:
            stored = reader.metadata(folder).tree["params"].get(name)
            if stored is None:
                return None
            wanted = {"params": {name: stored}}
            on_host = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
            args = ocp.args.PyTreeRestore(item=wanted, restore_args=on_host, partial_restore=True)
            return reader.restore(folder, args=args)["params"][name]
        finally:
            reader.close()

    def wait(self) -> None:
        """Waits until all saves are complete."""
        self.manager.wait_until_finished()

    def close(self) -> None:
        """Waits until all saves are complete, then closes the manager."""
        self.wait()
        self.manager.close()


def on_all_hosts(true: bool) -> bool:
    """Whether the value is true on all hosts; returns once all hosts have called this."""
    if jax.process_count() == 1:
        return true
    return bool(np.all(multihost_utils.process_allgather(np.array(true))))


def unchanged(tree: Any) -> Any:
    """A module-level function, so that the program that reshards a state into its shares is compiled only once."""
    return tree


def host_share(shape: tuple[int, ...], mesh: Mesh) -> NamedSharding:
    """A sharding that splits an array over hosts, as evenly as its axes divide, and replicates it within each host.

    The number of hosts is factored into primes, and each prime splits the largest axis that it divides: [28, 180, 180]
    over 16 hosts becomes [28, 45, 45] on each. A prime that divides no axis replicates.
    """
    hosts = len({device.process_index for device in mesh.devices.flat})
    primes = prime_factors(hosts)
    devices = np.array(sorted(mesh.devices.flat, key=lambda device: (device.process_index, device.id)))
    axis_names = [f"hosts_{place}" for place in range(len(primes))]
    host_mesh = Mesh(devices.reshape(*primes, -1), (*axis_names, "local"))

    rest = list(shape)
    split: list[tuple[str, ...]] = [()] * len(shape)
    for name, prime in zip(axis_names, primes, strict=True):
        axes = [axis for axis, size in enumerate(rest) if size % prime == 0]
        if axes:
            axis = max(axes, key=rest.__getitem__)
            rest[axis] //= prime
            split[axis] = (*split[axis], name)
    return NamedSharding(host_mesh, PartitionSpec(*[names or None for names in split]))


def prime_factors(number: int) -> list[int]:
    """Prime factors in ascending order; none of 1."""
    for prime in range(2, math.isqrt(number) + 1):
        if number % prime == 0:
            return [prime, *prime_factors(number // prime)]
    return [number] if number > 1 else []


def byte_count(tree: Any) -> int:
    """Total bytes of all arrays, or abstract shapes, in a tree."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
