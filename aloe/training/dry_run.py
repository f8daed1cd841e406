"""Describes a run without running it: configuration, parameters, memory and batch per device, checkpoint size."""

from collections.abc import Mapping
from typing import Any

import jax
from clu import parameter_overview
from ml_collections import ConfigDict

from aloe import tasks
from aloe.config import to_json
from aloe.training.checkpoints import byte_count
from aloe.training.loop import check_batches
from aloe.training.optimizer import make_optimizer
from aloe.training.state import abstract_state, model_structure, parameter_count
from aloe.training.step import data_mesh, train_step
from aloe.training.task import Task

MIB = 2**20


def describe(config: ConfigDict, *, hosts: int, devices_per_host: int, memory_per_device: int | None) -> str:
    """A description for people to read before starting a run.

    The step is compiled for one CPU device with the batch that one device of the slice would get. Its temporary memory
    is XLA's own figure for the CPU; the slice's compiler chooses different layouts.

    Args:
      config: the resolved configuration.
      hosts: number of hosts in the slice.
      devices_per_host: number of devices on each of them.
      memory_per_device: in bytes; None if unknown.

    Raises:
      InputError: the data or the batches do not fit the configuration.
    """
    task: Task = tasks.part(config.task, "task").make(config)
    streams, devices = task.streams(), hosts * devices_per_host
    check_batches(streams, config.batch.accumulation, devices)
    optimizer = make_optimizer(config.optimizer)
    state = abstract_state(task, optimizer)
    temporary = temporary_bytes(task, config, devices)
    resident = byte_count(state) + byte_count(state.params)

    lines = ["Configuration:", to_json(config), "Parameters:"]
    lines += [parameter_overview.get_parameter_overview(state.params, include_stats=False)]
    lines += [parameters_beside_paper(config, state.params), ""]
    lines += [f"Slice: {hosts} hosts × {devices_per_host} devices = {devices} devices"]
    lines += ["Batch per device (global):"]
    lines += [f"  {name:<14}{s.batch_size // devices:>6} ({s.batch_size})" for name, s in streams.items()]
    lines += [
        "Memory per device:",
        f"  state and gradient {resident / MIB:10.1f} MiB",
        f"  one step's values  {temporary / MIB:10.1f} MiB (XLA's figure for a CPU)",
        f"  of                 {memory_per_device / MIB:10.1f} MiB" if memory_per_device else "  of an unknown size",
        f"Checkpoint: {byte_count(state) / MIB:.1f} MiB in all, about {byte_count(state) / hosts / MIB:.1f} MiB a host",
    ]
    return "\n".join(lines)


def parameters_beside_paper(config: ConfigDict, params: Mapping[str, Any]) -> str:
    """The parameter count, in total and by part of the model, next to the paper's count for the variant."""
    by_part = ", ".join(f"{name} {parameter_count(part) / 1e6:.2f} M" for name, part in sorted(params.items()))
    told = getattr(tasks.part(config.task, "config"), "PAPER_PARAMETERS", {}).get(config.variant, "no number")
    return f"{parameter_count(params) / 1e6:.2f} M ({by_part}); the paper gives {told} for {config.variant!r}."


def temporary_bytes(task: Task, config: ConfigDict, devices: int) -> int:
    """Bytes that one device's step needs in addition to state and batch, found by compiling it for one local device."""
    mesh = data_mesh(jax.devices()[:1])
    optimizer = make_optimizer(config.optimizer)
    state = abstract_state(task, optimizer)
    step = train_step(task, model_structure(task), optimizer, mesh, seed=0, accumulation=config.batch.accumulation)

    batch = {
        name: {
            field: jax.ShapeDtypeStruct((stream.batch_size // devices, *value.shape), value.dtype)
            for field, value in stream.dataset[0].items()
        }
        for name, stream in task.streams().items()
    }
    memory = step.lower(state, batch).compile().memory_analysis()
    assert memory is not None, "XLA tells the memory of a program on a CPU"
    return memory.temp_size_in_bytes
