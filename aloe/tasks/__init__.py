"""One folder per task. A task is found by the name of its folder; to add a task, add a folder.

`part(task, name)` imports one of its modules:

    config     get_config(variant) -> ConfigDict
    task       the batch, heads, losses and metrics that the training loop needs
    files      the official files as records
    check      what a data folder holds, and what is wrong with it
    masks      the object that each pixel shows, known for our own worlds; `find` and `by_slot` for launch/masks.py
    proposals  the same two functions for the masks that come with the official videos
    world      writes a small data set of our own in the official format
"""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from aloe.errors import InputError, nearest


def names() -> list[str]:
    """Names of the available tasks, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)


def has(task: str, name: str) -> bool:
    """Whether an existing task has the module `name`."""
    folders = [str(Path(folder) / task) for folder in __path__]
    return any(module.name == name for module in pkgutil.iter_modules(folders))


def part(task: str, name: str) -> ModuleType:
    """Imports the module `name` of `task`.

    Raises:
      InputError: there is no such task, or it has no such module.
    """
    if task not in names():
        known = [f"--task={name}" for name in names()]
        raise InputError(f"--task={task}: no such task{nearest(f'--task={task}', known)}")
    if not has(task, name):
        raise InputError(f"--task={task}: this task has no {name}.py, which this command needs.")
    return importlib.import_module(f"{__name__}.{task}.{name}")
