"""The whole training step on one device: real losses and heads, dropout on, LAMB; next to a PyTorch peer."""

import dataclasses
import itertools
import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import optax
from ml_collections import ConfigDict

from aloe.progress_bar import progress_bar
from benchmarks import first_step, peer, trace
from benchmarks.compile_time import fresh_compilation_cache
from benchmarks.devices import peak_memory
from benchmarks.options import Options, streams
from benchmarks.paths import CHOSEN, PATHS, taken
from benchmarks.programs import cost, largest_that_fits, not_fitting, room, said
from benchmarks.results import Measured, Row
from benchmarks.timing import Timing, measure
from benchmarks.training import Run, make_run, model_config, repeated, with_batch, with_data
from benchmarks.workloads import workload

TABLE, CLASSES = "step", "step: time by class of operations"
PATHS_MEASURED = (CHOSEN, "shift")
REMAT = (False, True)  # without it plain attention saves so much that only part of the batch fits a GPU
FEW_LAYERS = 2  # supported by every architecture: "hierarchical" has two transformers
CPU_BATCH = 1  # examples of the smallest stream: each takes a CPU seconds
TRACING = threading.Lock()  # a path's context affects the whole process


@dataclasses.dataclass(frozen=True)
class Step:
    """A compiled step on an attention path, and how long it took to trace and compile it."""

    path: str
    run: Run
    compiled: jax.stages.Compiled
    compile_seconds: float


def run(options: Options) -> Measured:
    with tempfile.TemporaryDirectory() as folder, fresh_compilation_cache():
        yield from measured(with_data(options.config(), Path(folder)), options)


def measured(config: ConfigDict, options: Options) -> Measured:
    """The step on each attention path, with and without recomputation, and the peer's."""
    device = jax.devices()[0]
    remat = REMAT if device.platform != "cpu" else (config.model.remat,)
    first, *others = itertools.product(options.paths or PATHS_MEASURED, remat)

    def compiled(case: tuple[str, bool]) -> Step | Row:
        """The step of a case, or a row saying that none fits."""
        path, remat = case
        doubtful = case != first and not remat  # with recomputation, memory grows differently after the first layers
        of_case = with_remat(config, remat)
        try:
            return fitting(of_case, device, path, options.quick, doubtful=doubtful)
        except MemoryError as error:
            return Row({"program": "aloe", "path": path} | sizes(of_case), figures=not_fitting(error))

    alone = compiled(first)
    of_first = alone.run.config if isinstance(alone, Step) else with_remat(config, first[1])
    # Before JAX allocates arrays, as the peer and the fresh processes run on the same device.
    for row in peer.rows(of_first, sizes(of_first), options.repeats):
        yield TABLE, row
    if isinstance(alone, Step):
        yield from timed(alone, options, fresh=first_step.times(of_first, alone.path))
    else:
        yield TABLE, alone
    with ThreadPoolExecutor() as pool:
        steps = list(progress_bar(pool.map(compiled, others), "compiling", len(others), unit="step"))
    for step in steps:
        if isinstance(step, Row):
            yield TABLE, step
        else:
            yield from timed(step, options)


def timed(step: Step, options: Options, fresh: Mapping[str, float] | None = None) -> Measured:
    """A step's row and, with `--trace`, its classes; `fresh`: figures of fresh processes, for the first step to run."""
    call = repeated(step.compiled, step.run.fresh_state(), step.run.batch())
    timing = measure(call, repeats=options.repeats)
    peak = peak_memory(jax.devices()[0]) if fresh is not None else None
    compiling = {} if fresh is None else {"compile_seconds": step.compile_seconds, **fresh}
    found = row(step, timing, peak, options.repeats, compiling)
    yield TABLE, found
    if options.trace:
        yield from ((CLASSES, each) for each in trace.rows(found.case, call, step.compiled))


def fitting(config: ConfigDict, device: jax.Device, path: str, quick: bool = False, *, doubtful: bool = False) -> Step:
    """The step on an attention path, with the largest part of the configured batch that fits the device.

    If it is `doubtful` that all of it fits, two and four layers are compiled first, to find where to begin.
    """
    whole, layers = min(config.batch[name] for name in streams(config)), config.model.layers
    largest = CPU_BATCH if device.platform == "cpu" and not quick else whole
    steps: dict[int, Step] = {}

    def compile_for(part: int, layers: int = layers) -> jax.stages.Compiled:
        with TRACING, PATHS[path]():
            run = make_run(with_layers(with_batch(config, part, whole), layers), [device])
            started = time.perf_counter()
            lowered = run.lowered()
        compiled = lowered.compile()
        steps[part] = Step(path, run, compiled, time.perf_counter() - started)
        return compiled

    few = FEW_LAYERS
    if doubtful and layers > 2 * few:  # compiling all of them takes minutes if they do not fit
        some, twice = (cost(compile_for(largest, number)).total_bytes for number in (few, 2 * few))
        expected = some + (layers - few) * (twice - some) // few
        while expected > room(device) and largest > 1:
            largest, expected = largest // 2, expected // 2
    part, _ = largest_that_fits(compile_for, largest, room(device))
    return steps[part]


def row(step: Step, timing: Timing, peak: int | None, repeats: int, compiling: Mapping[str, float]) -> Row:
    """A row of the table; `compiling`: figures on how long it takes until a step can run."""
    path, config = step.path, step.run.config
    model = model_config(config)
    update = optimizer_time(step.run, repeats)
    case = sizes(config)
    return Row(
        {"program": "aloe", "path": path} | case,
        timing,
        workload(config.task).step_flops(config),
        {
            **compiling,
            "taken": taken(
                path, config.model.relative_form, model.token, model.compute_dtype, model.tokens, model.width
            ),
            "tokens_per_second": int(case["sequences"]) * int(case["T"]) / timing.median,
            "optimizer_ms": 1e3 * update.median,
            "optimizer min–max": f"{1e3 * update.min:.3g}–{1e3 * update.max:.3g}",
            "optimizer_share": update.median / timing.median,
            "device peak_bytes": peak,
            **said(step.compiled),
        },
    )


def sizes(config: ConfigDict) -> dict[str, str | int]:
    """What distinguishes one step's work from another's."""
    return {
        "task": config.task,
        "sequences": sum(workload(config.task).sequences(config).values()),
        "T": model_config(config).tokens,
        "layers": config.model.layers,
        "dropout": str(config.model.dropout),
        "dtype": config.model.dtype,
        "remat": "yes" if config.model.remat else "no",
    }


def with_layers(config: ConfigDict, layers: int) -> ConfigDict:
    """The configuration with this number of layers; if that is a change, half of them are those within frames."""
    config = config.copy_and_resolve_references()
    if layers != config.model.layers:
        config.model.layers_within_frames = 0
    config.model.layers = layers
    return config


def with_remat(config: ConfigDict, remat: bool) -> ConfigDict:
    """The configuration with its layers' activations recomputed in the backward pass, or saved."""
    config = config.copy_and_resolve_references()
    config.model.remat = remat
    return config


def optimizer_time(run: Run, repeats: int) -> Timing:
    """Times the optimizer's update and its application in isolation."""
    state = run.fresh_state()
    grads = jax.tree.map(lambda x: jax.random.normal(jax.random.key(0), x.shape, x.dtype), state.params)

    def update(params: Any, opt_state: Any, grads: Any) -> tuple[Any, Any]:
        updates, opt_state = run.optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    # The gradient is an argument: if it were a constant, the compiler would fold what depends on it alone.
    update = jax.jit(update, donate_argnums=(0, 1))
    held = [(state.params, state.opt_state)]

    def call() -> Any:
        held[0] = update(*held[0], grads)
        return held[0]

    return measure(call, repeats=repeats)
