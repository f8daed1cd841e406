"""Executes a program on the description of a scene."""

from typing import Any

from aloe.errors import InputError
from aloe.tasks.clevr.programs import Program
from aloe.tasks.clevr.scenes import Scene


def answer(program: Program, scene: Scene) -> str:
    """The answer, written as in the released files.

    Raises:
      InputError: the program asks for the only object of a set that has none or several; the message names the node.
    """
    return _written(values(program, scene)[-1])


def values(program: Program, scene: Scene) -> list[Any]:
    """The value of every node; objects are indices into the scene's objects. Same errors as `answer`."""
    found: list[Any] = []
    for place, node in enumerate(program):
        inputs = [found[each] for each in node.inputs]
        kind, _, name = node.function.partition("_")
        match kind, inputs:
            case "scene", []:
                value: Any = frozenset(range(len(scene.objects)))
            case "filter", [objects]:
                value = frozenset(each for each in objects if getattr(scene.objects[each], name) == node.literal)
            case "unique", [objects]:
                if len(objects) != 1:
                    raise InputError(f"node {place}, unique: the scene has {len(objects)} such objects, not one")
                (value,) = objects
            case "relate", [one]:
                value = scene.related[node.literal][one]
            case "same", [one]:
                wanted = getattr(scene.objects[one], name)
                value = frozenset(
                    other for other, each in enumerate(scene.objects) if other != one and getattr(each, name) == wanted
                )
            case "query", [one]:
                value = getattr(scene.objects[one], name)
            case "count", [objects]:
                value = len(objects)
            case "exist", [objects]:
                value = bool(objects)
            case "union", [one, other]:
                value = one | other
            case "intersect", [one, other]:
                value = one & other
            case "equal", [one, other]:
                value = one == other
            case "less", [one, other]:
                value = one < other
            case "greater", [one, other]:
                value = one > other
            case _:
                raise AssertionError(f"{node.function} is not a function of parsed programs")
        found.append(value)
    return found


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
