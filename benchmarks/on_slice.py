"""A configuration on a slice, without having one: its train and prediction steps compiled, and what they need."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import jax
from ml_collections import ConfigDict

from aloe.training.checkpoints import byte_count
from aloe.training.loop import check_batches, check_settings
from benchmarks import hlo, tpu
from benchmarks.programs import cost
from benchmarks.training import Run, make_run, with_batch
from cluster.slices import Slice

TRAIN, EVALUATE = "train", "evaluate "


@dataclasses.dataclass(frozen=True)
class Program:
    """What a program needs per core.

    Attributes:
      name: "train", or "evaluate " and the group of examples.
      memory_bytes: including arguments and results, and what else resides there.
      gflop: XLA's count of operations, including elementwise ones, of the program before optimization; without
        what `model.remat` recomputes.
      all_reduced_bytes: bytes of the results of reductions over all cores.
      estimated_ms: the compiler's estimate, a sum over operations: for comparison, not a prediction.
    """

    name: str
    memory_bytes: int
    gflop: float
    all_reduced_bytes: int
    estimated_ms: float


@dataclasses.dataclass(frozen=True)
class Refused:
    """A program that does not fit; `needed_bytes` per core is from the compiler's message, None where it gives none."""

    name: str
    needed_bytes: int | None


def open_run(config: ConfigDict, place: Slice, devices: list[Any]) -> Run:
    """A run of the configuration on the slice.

    Args:
      config: resolved, on existing data.
      place: the slice.
      devices: the slice's, from `tpu.compile_only_devices`.

    Raises:
      InputError: settings, data or batches do not fit each other or the slice.
    """
    check_settings(config)
    run = make_run(config, devices)
    check_batches(run.task.streams(), config.batch.accumulation, place.devices)
    return run


def names(run: Run) -> list[str]:
    """The names of its programs."""
    return [TRAIN, *(EVALUATE + group for group in run.groups())]


def programs(run: Run, place: Slice) -> Iterator[Program | Refused]:
    """Compiles one program after the other, about a minute each on two cores."""
    counted = one_core(run.config, place.devices)
    for name in names(run):
        try:
            compiled = tpu.compiled(lowered(run, name))
        except tpu.DoesNotFitError as error:
            yield Refused(name, error.needed)
            continue
        text = compiled.as_text() or ""
        yield Program(
            name,
            cost(compiled).total_bytes + beside(run, name),
            operations(counted, name) / 1e9,
            hlo.all_reduced_bytes(text),
            1e3 * hlo.estimated_cycles(text) / tpu.CLOCK[place.generation.name],
        )


def lowered(run: Run, name: str) -> jax.stages.Lowered:
    return run.lowered() if name == TRAIN else run.lowered_prediction(name.removeprefix(EVALUATE))


def beside(run: Run, name: str) -> int:
    """Bytes resident on a core while the program runs, besides its own: the optimizer state's, in prediction."""
    return 0 if name == TRAIN else byte_count(run.state_shapes().opt_state)


def one_core(config: ConfigDict, cores: int) -> Run:
    """The run of one core's share of the batch, on this machine's CPU, with nothing recomputed."""
    config = config.copy_and_resolve_references()
    config.batch.accumulation = 1
    config.batch.evaluation = -(-config.batch.evaluation // cores)
    if "remat" in config.model:
        config.model.remat = False
    return make_run(with_batch(config, 1, cores), jax.devices()[:1])


def operations(run: Run, name: str) -> float:
    """XLA's count of operations for a program on one device; scans are unrolled, as it counts a loop's body once."""
    scan = jax.lax.scan

    def unrolled(*arguments: Any, **named: Any) -> Any:
        return scan(*arguments, **{**named, "unroll": True})

    with mock.patch.object(jax.lax, "scan", unrolled):
        analysis = lowered(run, name).cost_analysis()
    assert analysis is not None, "XLA counts for a CPU"
    return analysis["flops"]


def rows_per_core(run: Run, place: Slice) -> dict[str, int]:
    """Examples of each stream in a core's share of a batch."""
    return {name: stream.batch_size // place.devices for name, stream in run.task.streams().items()}


def largest_batch(
    run: Run, place: Slice, known: Program | Refused, tried: Callable[[Mapping[str, int], int | None, int], None]
) -> dict[str, int] | None:
    """The largest batch whose train step fits, with the run's proportions between streams; None if there is none.

    Args:
      run: on the slice.
      place: the slice.
      known: the outcome for the train step with the run's own batch, where the search begins.
      tried: called after each compilation with the batch, the bytes per core that it needs, None if it does not fit,
        and how many more compilations there are at most.

    Returns:
      Examples per global batch, by stream.
    """
    rows, accumulation = rows_per_core(run, place), run.config.batch.accumulation
    unit = math.gcd(*rows.values())
    # Microbatches have whole numbers of examples of every stream.
    step = math.lcm(*(accumulation // math.gcd(accumulation, count // unit) for count in rows.values()))

    def batch(size: int) -> dict[str, int]:
        return {name: count // unit * step * size * place.devices for name, count in rows.items()}

    def fits(size: int, left: int) -> bool:
        if size == unit // step:
            return isinstance(known, Program)
        config = run.config.copy_and_resolve_references()
        config.batch.update(batch(size))
        try:
            compiled = tpu.compiled(make_run(config, list(run.mesh.devices.flat)).lowered())
        except tpu.DoesNotFitError:
            tried(batch(size), None, left)
            return False
        tried(batch(size), cost(compiled).total_bytes, left)
        return True

    size = largest(fits, unit // step)
    return batch(size) if size else None


def largest(fits: Callable[[int, int], bool], first: int) -> int:
    """The largest whole number that fits, provided that all below it do; 0 if not even 1 does.

    Args:
      fits: called with a number, and how many more are tried at most if this one does not fit.
      first: the number to begin with; it is doubled until one does not fit.
    """
    below, above = 0, first
    while fits(above, (above - below - 1).bit_length()):
        below, above = above, 2 * above
    while above - below > 1:
        middle = (below + above) // 2
        left = (above - middle - 1).bit_length()
        if fits(middle, left):
            below = middle
        else:
            above = middle
    return below
