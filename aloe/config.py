"""Configurations: a task's named variants, overrides by dotted path, and the JSON kept in a workdir.

`--config.optimizer.learning_rate=1e-3` calls `resolve` with the override {"optimizer.learning_rate": "1e-3"}.
"""

import ast
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from aloe import tasks
from aloe.errors import InputError, nearest


def resolve(task: str, variant: str, overrides: Mapping[str, str]) -> ConfigDict:
    """Returns the configuration of a task's variant with overrides applied, locked against new fields.

    Args:
      task: name of a folder in `aloe/tasks/`.
      variant: one of the task's `VARIANTS`.
      overrides: new values as text, keyed by the field's dotted path.

    Raises:
      InputError: unknown task, variant or field (the message suggests the nearest name), or a value whose type is not
        the field's.
    """
    module = tasks.part(task, "config")
    if variant not in module.VARIANTS:
        raise InputError(f"--variant={variant}: {task} has no such variant{nearest(variant, module.VARIANTS)}")
    config = module.get_config(variant).lock()
    fields = dict(flatten(config))
    for path, text in overrides.items():
        if path not in fields:
            raise InputError(f"--config.{path}={text}: no such field{nearest(path, fields)}")
        config.update_from_flattened_dict({path: parse(path, text, fields[path])})
    return config


def parse(path: str, text: str, current: Any) -> Any:
    """Reads an override as the type of the field's current value."""
    if isinstance(current, str):
        return text
    kind = type(current)
    try:
        value = {"true": True, "false": False}.get(text.lower()) if kind is bool else ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = None
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise InputError(
            f"--config.{path}={text}: the field takes a value of type {kind.__name__}, such as {current!r}."
        )
    return value


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the leaves with their dotted paths."""
    for name, value in config.items():
        if isinstance(value, Mapping | ConfigDict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def to_json(config: ConfigDict) -> str:
    return json.dumps(config.to_dict(), indent=2) + "\n"


def choose(path: str, name: str, known: Mapping[str, Any]) -> Any:
    """Returns `known[name]`, for a field whose value names one of several alternatives.

    Raises:
      InputError: there is no such name; the message suggests the nearest.
    """
    if name not in known:
        raise InputError(f"config.{path} = {name!r}: no such choice{nearest(name, known)}")
    return known[name]
