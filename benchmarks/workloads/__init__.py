"""What the benchmarks work on: for each task a data folder of any size without official files, and a count of its work.

One module per task, with the task's name:

    write_data(folder, videos, config)      writes training and some validation videos; returns the data's root

and, where the suite measures the task's steps:

    QUICK                                   fields that `--quick` sets for this task
    sequences(config)                       number in a global batch, by the head that answers, or "unsupervised"
    step_flops(config)                      useful operations of a step; None for a tower without formulas
"""

import importlib
import pkgutil
from types import ModuleType

from aloe.errors import InputError, nearest


def workload(task: str) -> ModuleType:
    """The module of a task.

    Raises:
      InputError: there is none.
    """
    if task not in _names():
        raise InputError(
            f"--task={task}: no data of it can be made up, so name some with --data{nearest(task, _names())}"
        )
    return importlib.import_module(f"{__name__}.{task}")


def check_measured(task: str) -> None:
    """Raises InputError unless the suite measures the task's steps."""
    measured = [name for name in _names() if hasattr(workload(name), "step_flops")]
    if task not in measured:
        raise InputError(f"--task={task}: no benchmark of it{nearest(task, measured)}")


def _names() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(__path__)]
