"""The whole training step on one device: real losses and heads, dropout on, LAMB; beside a PyTorch peer."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from benchmarks import clevrer
from benchmarks.compile_time import compile_times
from benchmarks.devices import peak_memory
from benchmarks.options import Options
from benchmarks.paths import CHOSEN, PATHS
from benchmarks.programs import cost, largest_that_fits
from benchmarks.results import Row, Tables
from benchmarks.timing import Timing, measure
from benchmarks.training import Run, make_run, repeated, with_batch, with_data

TABLE = "step"
CPU_BATCH = 1  # descriptive questions: a CPU needs seconds for each


def run(options: Options) -> Tables:
    with tempfile.TemporaryDirectory() as folder:
        config = with_data(options.config(), Path(folder))
        return {TABLE: list(rows(config, options))}


def rows(config: ConfigDict, options: Options) -> Iterator[Row]:
    device = jax.devices()[0]
    for path in options.paths or (CHOSEN, "shift"):
        with PATHS[path]():
            fitted, compiled = fitting(config, device, options.quick)
            run = make_run(fitted, [device])
            times = compile_times(run.compiled)
        yield measured(path, run, compiled, times, options.repeats)


def fitting(config: ConfigDict, device: jax.Device, quick: bool = False) -> tuple[ConfigDict, jax.stages.Compiled]:
    """The configuration with the largest part of its batch whose step fits the device, and that step."""
    whole = config.batch.descriptive
    largest = CPU_BATCH if device.platform == "cpu" and not quick else whole
    part, compiled = largest_that_fits(
        lambda part: make_run(with_batch(config, part, whole), [device]).compiled(), largest, device
    )
    return with_batch(config, part, whole), compiled


def measured(
    path: str, run: Run, compiled: jax.stages.Compiled, compile_seconds: dict[str, float], repeats: int
) -> Row:
    timing = measure(repeated(compiled, run.fresh_state(), run.batch()), repeats=repeats)
    update = optimizer_time(run, repeats)
    config, said = run.config, cost(compiled)
    sequences, tokens = sum(clevrer.sequences(config).values()), clevrer.tokens(config)
    return Row(
        {"program": "aloe", "path": path} | sizes(config),
        timing,
        clevrer.step_flops(config),
        {
            "tokens_per_second": sequences * tokens / timing.median,
            "optimizer_seconds": update.median,
            "optimizer_share": update.median / timing.median,
            **compile_seconds,
            "temporary_bytes": said.temporary_bytes,
            "total_bytes": said.total_bytes,
            "device_peak_bytes": peak_memory(jax.devices()[0]),
        },
    )


def sizes(config: ConfigDict) -> dict[str, str | int]:
    """What tells one step's work from another's."""
    return {
        "sequences": sum(clevrer.sequences(config).values()),
        "T": clevrer.tokens(config),
        "layers": config.model.layers,
        "dropout": str(config.model.dropout),
        "dtype": config.model.dtype,
    }


def optimizer_time(run: Run, repeats: int) -> Timing:
    """The optimizer's update and its application, by themselves."""
    state = run.fresh_state()
    grads = jax.tree.map(jnp.ones_like, state.params)

    def update(params: Any, opt_state: Any) -> tuple[Any, Any]:
        updates, opt_state = run.optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    update = jax.jit(update, donate_argnums=(0, 1))
    held = [(state.params, state.opt_state)]

    def call() -> Any:
        held[0] = update(*held[0])
        return held[0]

    return measure(call, repeats=repeats)
