"""The training loop. Every host of a slice executes `run`, as does a single process on its own."""

import contextlib
import dataclasses
import math
import re
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import jax
from etils import epath
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from aloe import tasks
from aloe.data.streams import Stream, host_batches
from aloe.errors import InputError
from aloe.training import workdir
from aloe.training.checkpoints import Checkpoints
from aloe.training.clock import COMMIT, COMPILE, EVALUATION, HOST, INIT, INPUT, RESTORE, SAVE, STEP, Clock
from aloe.training.evaluation import Evaluator, global_batch
from aloe.training.log import DIAGNOSIS, VALIDATION, RunLog, read_events
from aloe.training.optimizer import learning_rate, make_optimizer
from aloe.training.pretrained import carried_over
from aloe.training.progress import Progress
from aloe.training.state import TrainState, abstract_state, initial_state, model_structure
from aloe.training.step import data_mesh, train_step
from aloe.training.task import Parts, Task
from aloe.training.trace import Trace


class NonFiniteError(FloatingPointError):
    """A part of the loss, or the gradient, is NaN or infinite."""


def run(
    config: Mapping[str, Any],
    *,
    stop: Callable[[int], bool] = multihost_utils.reached_preemption_sync_point,
    mark: Callable[[str, int], None] = lambda activity, step: None,
    alone: Callable[[epath.Path], AbstractContextManager[None]] = contextlib.nullcontext,
) -> dict[str, Any]:
    """Trains from the latest checkpoint in the workdir, or from scratch, up to the configured number of steps.

    Args:
      config: a resolved configuration as plain data; the same on every host.
      stop: called after every step with the steps taken so far; true, on all hosts at once, to save and exit.
      mark: called with what this host is doing, and at which step; see `clock.py`.
      alone: called on rank 0 with the claimed workdir; a context manager that keeps other processes out of it.

    Returns:
      `step`, the total steps taken; `stopped`, whether it left early; `scores` and `diagnosis`, percentages and other
      numbers of the validation split at the end.

    Raises:
      InputError: something in the input is wrong; nothing has been compiled yet.
      NonFiniteError: the loss or its gradient is not finite; the last good checkpoint is kept.
    """
    clock = Clock(mark)
    resolved = ConfigDict(config)
    check_settings(resolved)
    task: Task = tasks.part(resolved.task, "task").make(resolved)
    check_batches(task.streams(), accumulation_here(task.streams(), resolved, jax.device_count()), jax.device_count())
    if not (epath.Path(resolved.workdir) / workdir.CHECKPOINTS).exists():
        carried_over(resolved, abstract_state(task, make_optimizer(resolved.optimizer)).params)  # raises early
    with alone(workdir.claim(resolved)) if jax.process_index() == 0 else contextlib.nullcontext():
        return train(task, resolved, stop, clock)


def train(task: Task, config: ConfigDict, stop: Callable[[int], bool], clock: Clock | None = None) -> dict[str, Any]:
    """`run` for a task that is already made, with settings already checked, in a workdir already claimed."""
    clock = clock or Clock(lambda activity, step: None)
    main = jax.process_index() == 0
    folder = epath.Path(config.workdir)
    mesh = data_mesh()
    streams = task.streams()
    optimizer = make_optimizer(config.optimizer)
    graphdef = model_structure(task)
    checkpoints = Checkpoints(folder / workdir.CHECKPOINTS, mesh, config.training)
    clock.at(RESTORE, checkpoints.latest() or 0)
    state = restored_or_initial(task, optimizer, checkpoints, mesh, config)
    first = int(state.step)
    clock.at(INIT, first)

    accumulation = accumulation_here(streams, config, mesh.size)
    step_fn = train_step(task, graphdef, optimizer, mesh, seed=config.seed, accumulation=accumulation)
    evaluator = Evaluator(task, graphdef, mesh, config.batch.evaluation)
    batches = host_batches(
        streams,
        first_step=first,
        host=jax.process_index(),
        hosts=jax.process_count(),
        workers=config.data.workers,
    )
    log = RunLog(folder, first, write=main)
    progress = Progress(
        task.loss_weights,
        first_step=first,
        last_step=config.training.steps,
        examples_per_step=sum(stream.batch_size for stream in streams.values()),
        show=main,
    )
    log.event("start", step=first, hosts=jax.process_count(), devices=mesh.size, accumulation=accumulation)
    progress.show_start(jax.process_count(), mesh.size)
    profile = profile_steps(config.profile)
    rates = learning_rate(config.optimizer)

    trace = Trace(folder / workdir.TENSORBOARD)

    done, stopped = first, False
    unread: list[tuple[int, Parts]] = []

    def read() -> None:
        """Fetches the metrics of the steps dispatched so far; raises if one of them is not finite."""
        for step, parts in unread:
            parts = jax.device_get(parts)
            check_finite(step, parts, checkpoints.latest())
            progress.add(parts)
        unread.clear()

    def evaluate() -> tuple[dict[str, float], dict[str, float]]:
        clock.at(EVALUATION, done)
        started = time.monotonic()
        predictions = evaluator.predictions(state.params, "validation")
        scores, seen = task.scores("validation", predictions), task.diagnosis("validation", predictions)
        numbers = {DIAGNOSIS + name: value for name, value in seen.numbers.items()}
        log.metrics(done, {VALIDATION + name: value for name, value in scores.items()} | numbers)
        log.pictures(done, seen.pictures)
        log.event("evaluation", step=done, **scores)
        for alarm in seen.alarms:
            log.event("alarm", step=done, alarm=alarm)
        progress.show_scores(done, scores, time.monotonic() - started, seen.alarms)
        return scores, dict(seen.numbers)

    try:
        while done < config.training.steps and not stopped:
            if done in profile and not trace.running:
                trace.start()
            clock.at(INPUT, done)
            batch = global_batch(progress.wait(batches), mesh)
            clock.at(COMPILE if done == first else STEP, done)
            started = time.monotonic()
            state, parts = step_fn(state, batch)
            if done == first:
                progress.show_compiled(time.monotonic() - started)
            # Step n runs while the metrics of step n − 1 are fetched, so that fetching them never idles the device.
            read()
            clock.at(HOST, done)
            done += 1
            unread.append((done, parts))
            if trace.running and done == profile.stop:
                read()
                trace.stop()
            stopped = stop(done)
            if done % config.training.log_every == 0 or done == config.training.steps:
                read()
                log.metrics(done, progress.report(done) | {"learning_rate": float(rates(done))})
                log.event("times", step=done, hosts=clock.take(done))
            if checkpoints.due(done) or stopped or done == config.training.steps:
                read()  # whatever is saved must be known to be finite
                clock.at(COMMIT, done)
                started = time.monotonic()
                checkpoints.wait()  # for the previous save
                clock.at(SAVE, done)
                checkpoints.save(done, state)
                log.event("save", step=done, blocked_seconds=time.monotonic() - started)
            if done % config.training.evaluate_every == 0 and done < config.training.steps and not stopped:
                evaluate()
        scores, numbers = ({}, {}) if stopped else evaluate()
        clock.at(COMMIT, done)
        checkpoints.wait()
        log.event("times", step=done, hosts=clock.take(done))
        log.event("stop" if stopped else "end", step=done)
    except BaseException as error:
        log.event("error", step=done, error=f"{type(error).__name__}: {error}")
        raise
    finally:
        with contextlib.ExitStack() as ends:  # each is called, whatever another raises; the last one first
            for end in (log.close, checkpoints.close, batches.close, trace.stop):
                ends.callback(end)
    return {"step": done, "stopped": stopped, "scores": scores, "diagnosis": numbers}


def check_settings(config: ConfigDict) -> None:
    """Raises InputError unless batches and intervals are at least 1, and workers at least 0."""
    if config.data.workers < 0:
        raise InputError(f"config.data.workers = {config.data.workers}: give a number of processes, or 0 for none.")
    for group in ("batch", "training"):
        for name, value in config[group].items():
            if isinstance(value, int) and value < 1:
                raise InputError(f"config.{group}.{name} = {value}: give a number of at least 1.")


def check_batches(streams: Mapping[str, Stream], accumulation: int, devices: int) -> None:
    """Raises InputError unless every stream's batch is divisible by devices times microbatches."""
    for name, stream in streams.items():
        least = devices * accumulation
        below = stream.batch_size // least * least
        if stream.batch_size != below:
            raise InputError(
                f"config.batch.{name} = {stream.batch_size} does not divide by {devices} devices × "
                f"config.batch.accumulation = {accumulation}; give {f'{below} or ' if below else ''}{below + least}."
            )


def accumulation_here(streams: Mapping[str, Stream], config: ConfigDict, devices: int) -> int:
    """Microbatches per step on this many devices: as configured, or more if the run began on a slice with more devices.

    So a device never holds more examples at once than it did there. The batch stays the same, and so does the step.
    """
    asked: int = config.batch.accumulation
    began_with = next(
        (event["devices"] for event in read_events(epath.Path(config.workdir)) if event["event"] == "start"), 0
    )
    least = -(-began_with * asked // devices)
    if least <= asked:
        return asked
    rows = math.gcd(*(stream.batch_size for stream in streams.values())) // devices
    return next((number for number in range(least, rows + 1) if rows % number == 0), asked)


def restored_or_initial(
    task: Task, optimizer: Any, checkpoints: Checkpoints, mesh: jax.sharding.Mesh, config: ConfigDict
) -> TrainState:
    """The state of the latest checkpoint, or a fresh one, replicated over the mesh."""
    abstract = abstract_state(task, optimizer)
    if checkpoints.latest() is not None:
        return checkpoints.restore_readable(abstract)

    def fresh(carried: Mapping[str, Any]) -> TrainState:
        state = initial_state(task.model(nnx.Rngs(config.seed)), optimizer)
        return dataclasses.replace(state, params={**state.params, **carried})

    carried = carried_over(config, abstract.params)
    return jax.jit(fresh, out_shardings=NamedSharding(mesh, PartitionSpec()))(carried)


def check_finite(step: int, parts: Parts, last_saved: int | None) -> None:
    """Raises NonFiniteError, naming the step and the parts, unless all are finite."""
    broken = [name for name, part in parts.items() if not math.isfinite(part.total)]
    if broken:
        kept = "no checkpoint was saved yet" if last_saved is None else f"the checkpoint of step {last_saved} stands"
        raise NonFiniteError(
            f"step {step}: {', '.join(broken)} not finite; {kept}. Lower optimizer.learning_rate, or set "
            "model.dtype=float32, and start again from there."
        )


def profile_steps(text: str) -> range:
    """Parses `100:105` as the range of steps to trace; empty for an empty string.

    Raises:
      InputError: the text is not two ascending numbers.
    """
    if not text:
        return range(0)
    numbers = re.fullmatch(r"(\d+):(\d+)", text)
    if not numbers or int(numbers[1]) >= int(numbers[2]):
        raise InputError(f"--profile={text}: takes FIRST:LAST with FIRST before LAST, such as 100:105.")
    return range(int(numbers[1]), int(numbers[2]))
