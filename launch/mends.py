"""What could make a program fit that the compiler has refused for a slice: flags that apply to the run."""

import math

from ml_collections import ConfigDict

from aloe.errors import InputError
from aloe.training.checkpoints import byte_count
from aloe.training.loop import check_batches
from benchmarks import tpu
from benchmarks.on_slice import TRAIN, Refused, beside, rows_per_core
from benchmarks.training import Run
from cluster.slices import SLICES, Slice


def mends(run: Run, place: Slice, refused: Refused) -> list[str]:
    """Flags, each of which may suffice on its own.

    Memory of the batch is assumed to shrink with it, and memory of the state to stay; only the compiler knows what
    rematerialization saves. If the refusal reports no size, all flags that change something are returned.
    """
    config, state = run.config, run.state_shapes()
    stays = byte_count(state.params) + beside(run, refused.name)
    if refused.name == TRAIN:
        stays += byte_count(state)  # includes the parameters; those above stand for the gradient
    shrinks = max(0, (refused.needed_bytes or 0) - stays)

    def enough(share: float) -> bool:
        return stays + share * shrinks <= tpu.usable_memory(place.generation)

    found = []
    if refused.name == TRAIN:
        if can_recompute(config):
            found.append("--config.model.remat=True")
        now, rows = config.batch.accumulation, math.gcd(*rows_per_core(run, place).values())
        numbers = [number for number in range(now + 1, rows + 1) if rows % number == 0 and enough(now / number)]
        found += [f"--config.batch.accumulation={number}" for number in numbers[:1]]
    else:
        rows = -(-config.batch.evaluation // place.devices)
        fewer = [count for count in range(rows - 1, 0, -1) if enough(count / rows)]
        found += [f"--config.batch.evaluation={count * place.devices}" for count in fewer[:1]]
    slices = [other for other in larger(run, place) if enough(place.devices / other.devices)]
    return found + [f"--slice={other.name}" for other in slices[:1]]


def can_recompute(config: ConfigDict) -> bool:
    """Whether `model.remat` exists, is off, and would make a difference."""
    return not config.model.get("remat", True) and config.model.architecture != "mlp"


def larger(run: Run, place: Slice) -> list[Slice]:
    """Slices of the same generation with more devices, by which the batch is divisible, smallest first."""

    def divides(other: Slice) -> bool:
        try:
            check_batches(run.task.streams(), run.config.batch.accumulation, other.devices)
        except InputError:
            return False
        return True

    found = [other for other in SLICES if other.generation == place.generation and other.devices > place.devices]
    return sorted(filter(divides, found), key=lambda other: other.devices)
