"""Weak scaling: the step on 1, 2, 4 … local devices with the same per-device batch."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from ml_collections import ConfigDict

from aloe.training.state import parameter_count
from aloe.training.step import DATA, summed_over_devices
from benchmarks.options import Options
from benchmarks.paths import CHOSEN
from benchmarks.programs import not_fitting, said
from benchmarks.results import Measured, Row
from benchmarks.step import fitting, sizes
from benchmarks.timing import LEAST_SECONDS, Timing, measure
from benchmarks.training import Run, make_run, repeated, with_batch, with_data
from benchmarks.workloads import workload

TABLE = "scaling"


def run(options: Options) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        config = with_data(options.config(), Path(folder))
        yield from ((TABLE, row) for row in rows(config, options))


def rows(config: ConfigDict, options: Options) -> Iterator[Row]:
    devices = jax.local_devices()
    try:
        on_one = fitting(config, devices[0], CHOSEN, options.quick)
    except MemoryError as error:
        yield Row({"devices": 1} | sizes(config), figures=not_fitting(error))
        return
    each = on_one.run.config
    alone: Timing | None = None
    most = min(2, len(devices)) if options.quick else len(devices)
    for count in (1 << power for power in range(most.bit_length())):
        run = make_run(with_batch(each, count, 1), devices[:count]) if count > 1 else on_one.run
        compiled = run.lowered().compile() if count > 1 else on_one.compiled
        timing = apart(repeated(compiled, run.fresh_state(), run.batch()), options.repeats)
        alone = alone or timing
        yield Row(
            {"devices": count} | sizes(run.config),
            timing,
            workload(each.task).step_flops(each),  # per device, like the peak that it is compared with
            compared(timing, alone, all_reduce_time(run, options.repeats))
            | {"all-reduced_bytes": 4 * parameter_count(run.state_shapes().params)}
            | said(compiled),
        )


def compared(step: Timing, alone: Timing, reduce: Timing) -> dict[str, float]:
    """Compares a step with that on one device, and with its all-reduce in isolation.

    How much longer it takes is reported as measured: the all-reduce is short compared with the noise of a step, so the
    share of it that is hidden cannot be determined.
    """
    return {
        "efficiency_share": alone.median / step.median,
        "longer than alone_ms": 1e3 * (step.median - alone.median),
        "all-reduce_ms": 1e3 * reduce.median,
        "all-reduce_share": reduce.median / step.median,
    }


def all_reduce_time(run: Run, repeats: int) -> Timing:
    """Times the all-reduce of as many float32 numbers as there are parameters, as the step does it, in isolation."""
    count = parameter_count(run.state_shapes().params)
    flat = jax.device_put(jnp.ones(count), jax.sharding.NamedSharding(run.mesh, PartitionSpec()))

    def summed(x: jax.Array) -> jax.Array:
        return summed_over_devices(jax.lax.pcast(x, DATA, to="varying"))

    reduce = jax.jit(jax.shard_map(summed, mesh=run.mesh, in_specs=PartitionSpec(), out_specs=PartitionSpec()))
    return apart(lambda: reduce(flat), repeats)


def apart(call: Callable[[], Any], repeats: int) -> Timing:
    """Times calls; on CPUs one by one, as two concurrent cross-device reductions can deadlock."""
    cpu = jax.devices()[0].platform == "cpu"
    return measure(call, repeats=repeats, least_seconds=0.0 if cpu else LEAST_SECONDS)
