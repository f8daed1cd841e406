"""The whole training step on one device: real losses and heads, dropout on, LAMB; beside a PyTorch peer."""

import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from benchmarks import clevrer, peer, trace
from benchmarks.compile_time import compile_times
from benchmarks.devices import peak_memory
from benchmarks.options import Options
from benchmarks.paths import CHOSEN, PATHS
from benchmarks.programs import cost, largest_that_fits, room
from benchmarks.results import Row, Tables
from benchmarks.timing import Timing, measure
from benchmarks.training import Run, make_run, repeated, with_batch, with_data

TABLE, CLASSES = "step", "step: time by class of operations"
CPU_BATCH = 1  # descriptive questions: a CPU needs seconds for each


def run(options: Options) -> Tables:
    with tempfile.TemporaryDirectory() as folder:
        config = with_data(options.config(), Path(folder))
        return tables(config, options)


def tables(config: ConfigDict, options: Options) -> Tables:
    device = jax.devices()[0]
    paths = {path: fitting(config, device, path, options.quick) for path in options.paths or (CHOSEN, "shift")}
    first = next(iter(paths.values()))[0]
    # Before JAX takes memory for arrays: the peer runs on the same device.
    peers = list(peer.rows(first, sizes(first), options.repeats))
    steps: list[Row] = []
    classes: list[Row] = []
    for path, (fitted, compiled) in paths.items():
        run = make_run(fitted, [device])
        with PATHS[path]():
            times = compile_times(run)
        call = repeated(compiled, run.fresh_state(), run.batch())
        steps.append(measured(path, run, compiled, measure(call, repeats=options.repeats), times, options.repeats))
        if options.trace:
            classes += trace.rows(steps[-1].case, call, compiled)
    return {TABLE: [*steps, *peers]} | ({CLASSES: classes} if options.trace else {})


def fitting(
    config: ConfigDict, device: jax.Device, path: str, quick: bool = False
) -> tuple[ConfigDict, jax.stages.Compiled]:
    """The configuration with the largest part of its batch whose step fits the device by a path, and that step."""
    whole = config.batch.descriptive
    largest = CPU_BATCH if device.platform == "cpu" and not quick else whole
    with PATHS[path]():
        part, compiled = largest_that_fits(
            lambda part: make_run(with_batch(config, part, whole), [device]).lowered().compile(), largest, room(device)
        )
    return with_batch(config, part, whole), compiled


def measured(
    path: str,
    run: Run,
    compiled: jax.stages.Compiled,
    timing: Timing,
    compile_seconds: dict[str, float],
    repeats: int,
) -> Row:
    update = optimizer_time(run, repeats)
    config, said = run.config, cost(compiled)
    sequences, tokens = sum(clevrer.sequences(config).values()), clevrer.tokens(config)
    return Row(
        {"program": "aloe", "path": path} | sizes(config),
        timing,
        clevrer.step_flops(config),
        {
            "tokens_per_second": sequences * tokens / timing.median,
            "optimizer_ms": 1e3 * update.median,
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
