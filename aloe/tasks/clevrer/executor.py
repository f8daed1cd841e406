"""Answers a question by running its program on a description of the video.

Programs are flat lists of tokens in postfix order, run on a stack: an operator pops its arguments, of which the first
is deepest, and pushes its value; other tokens push themselves. A choice is judged by running its program followed by
the question's. Operators and their semantics are those of the released questions (arXiv 1910.01442, and its NS-DR
executor).
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aloe.tasks.clevrer.annotations import COLORS, MATERIALS, SHAPES, Annotation

ORDERS = ("first", "second", "last")
MOVING_SPEED = 0.02  # Objects faster than this move; annotation units per second (DCL's threshold on the annotations).


class ExecutionError(Exception):
    """A program has no meaning on this video: `unique` of two things, an empty stack, a value of the wrong kind."""


@dataclass(frozen=True)
class Object:
    """An object and its index in the annotation's list."""

    index: int
    color: str
    material: str
    shape: str


@dataclass(frozen=True)
class Event:
    """Something that happens: "start", "end", "in", "out" or "collision".

    Attributes:
      kind: which of these.
      objects: indices of those that take part, ascending.
      frame: when it happens; None for a hypothetical event (`all_events`).
    """

    kind: str
    objects: tuple[int, ...] = ()
    frame: int | None = None


@dataclass(frozen=True)
class Scene:
    """A video as the executor sees it.

    Attributes:
      objects: all of them.
      visible_FxO: whether in the camera's view, per frame.
      speed_FxO: planar speed, per frame.
      collisions: in the video, in time order.
      unseen: events after the video; None if unknown, as for the official annotations.
      counterfactual: for each object, the pairs that collide without it; None if unknown.
      moving_speed: an object faster than this is moving.
    """

    objects: tuple[Object, ...]
    visible_FxO: np.ndarray
    speed_FxO: np.ndarray
    collisions: tuple[Event, ...]
    unseen: tuple[Event, ...] | None = None
    counterfactual: Mapping[int, frozenset[tuple[int, ...]]] | None = None
    moving_speed: float = MOVING_SPEED

    @functools.cached_property
    def events(self) -> list[Event]:
        """All events of the video in time order, from "start" to "end"."""
        events = list(self.collisions)
        for index in range(len(self.objects)):
            change_F = np.diff(self.visible_FxO[:, index].astype(int))
            events += [Event("in", (index,), int(frame) + 1) for frame in np.flatnonzero(change_F > 0)]
            events += [Event("out", (index,), int(frame) + 1) for frame in np.flatnonzero(change_F < 0)]
        events.sort(key=lambda event: event.frame or 0)
        return [Event("start", (), 0), *events, Event("end", (), len(self.visible_FxO) - 1)]


def read(annotation: Annotation, truth: Mapping[str, Any] | None = None) -> Scene:
    """Builds the scene of an annotation, with the additional truth of our own worlds (`truth.describe`)."""
    index_of = {entry.object_id: index for index, entry in enumerate(annotation.objects)}

    def known(entries: Sequence[Mapping[str, Any]]) -> tuple[Event, ...]:
        pairs = (tuple(sorted(index_of[object_id] for object_id in entry["object_ids"])) for entry in entries)
        return tuple(Event("collision", pair, entry["frame_id"]) for pair, entry in zip(pairs, entries, strict=True))

    counterfactual: dict[int, frozenset[tuple[int, ...]]] | None = None
    if truth:
        counterfactual = {
            index_of[entry["removed"]]: frozenset(event.objects for event in known(entry["collision"]))
            for entry in truth["counterfactual"]
        }
    collisions = [
        Event("collision", tuple(sorted((each.first, each.second))), each.frame)
        for each in sorted(annotation.collisions, key=lambda collision: collision.frame)
    ]
    return Scene(
        objects=tuple(
            Object(index, entry.color, entry.material, entry.shape) for index, entry in enumerate(annotation.objects)
        ),
        visible_FxO=annotation.visible_FxO,
        speed_FxO=np.hypot(annotation.velocity_FxOx3[..., 0], annotation.velocity_FxOx3[..., 1]),
        collisions=tuple(collisions),
        unseen=known(truth["unseen"]["collision"]) if truth else None,
        counterfactual=counterfactual,
    )


def answer(program: Sequence[str], scene: Scene) -> str:
    """The answer as the questions file writes it: "yes", "3", "blue".

    Raises:
      ExecutionError: the program has no meaning on this scene, or its value is not an answer.
    """
    value = run(program, scene)
    if isinstance(value, int | str) and program[-1] not in LITERALS:
        return str(value)
    raise ExecutionError(f"{' '.join(program)}: ends in {value!r}, which is no answer")


def judge(choice: Sequence[str], question: Sequence[str], scene: Scene) -> str:
    """Runs the choice's program followed by the question's: "correct" or "wrong".

    Raises:
      ExecutionError: the programs have no meaning on this scene, or do not end in yes or no.
    """
    try:
        return {"yes": "correct", "no": "wrong"}[answer([*choice, *question], scene)]
    except KeyError as error:
        raise ExecutionError(f"{' '.join(question)}: ends in {error}, not in yes or no") from error


def run(program: Sequence[str], scene: Scene) -> Any:
    """Runs a program and returns the one value that it leaves on the stack.

    Raises:
      ExecutionError: the program has no meaning on this scene.
    """
    stack: list[Any] = []
    try:
        for token in program:
            if token in LITERALS:
                stack.append(token)
                continue
            if token not in OPERATORS:
                raise ExecutionError(f"{token} is no operator and no value")
            arity, operator = OPERATORS[token]
            if len(stack) < arity:
                raise ExecutionError(f"{token} takes {arity} values, and there are {len(stack)}")
            arguments = stack[len(stack) - arity :]
            del stack[len(stack) - arity :]
            stack.append(operator(scene, *arguments))
        if len(stack) != 1:
            raise ExecutionError(f"leaves {len(stack)} values")
    except ExecutionError as error:
        raise ExecutionError(f"{' '.join(program)}: {error}") from error
    return stack[0]


def _the(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ExecutionError(f"{value!r} where one {kind.__name__.lower()} is needed")
    return value


def _all(kind: type, value: Any) -> list[Any]:
    if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
        raise ExecutionError(f"{value!r} where a list of {kind.__name__.lower()}s is needed")
    return value


def _indices(value: Any) -> set[int]:
    """Indices of one object or of a list of objects."""
    return {item.index for item in (_all(Object, value) if isinstance(value, list) else [_the(Object, value)])}


def _frame(event: Any) -> int:
    frame = _the(Event, event).frame
    if frame is None:
        raise ExecutionError("the frame of an event that has none")
    return frame


def _known(value: Any, what: str) -> Any:
    if value is None:
        raise ExecutionError(f"{what} are not known of this video")
    return value


def _all_events(scene: Scene) -> list[Event]:
    count = len(scene.objects)
    return [Event("collision", (one, other)) for one in range(count) for other in range(one + 1, count)]


def _filter_attribute(attribute: str, values: Sequence[str], _: Scene, objects: Any, value: Any) -> list[Object]:
    if value not in values:
        raise ExecutionError(f"{value!r} is no {attribute}")
    return [item for item in _all(Object, objects) if getattr(item, attribute) == value]


def _filter_motion(moving: bool, scene: Scene, objects: Any, frame: Any) -> list[Object]:
    """Of the objects in view at the frame ("null": at any frame), those that move then, or those that do not."""
    if frame == "null":
        when = slice(None)
    elif isinstance(frame, int) and 0 <= frame < len(scene.visible_FxO):
        when = slice(frame, frame + 1)
    else:
        raise ExecutionError(f"{frame!r} where a frame or null is needed")
    visible_FxO = scene.visible_FxO[when]
    moves_O = (visible_FxO & (scene.speed_FxO[when] > scene.moving_speed)).any(0)
    wanted_O = visible_FxO.any(0) & (moves_O == moving)
    return [item for item in _all(Object, objects) if wanted_O[item.index]]


def _filter_kind(kind: str, _: Scene, events: Any, objects: Any) -> list[Event]:
    indices = _indices(objects)
    return [event for event in _all(Event, events) if event.kind == kind and indices.intersection(event.objects)]


def _filter_order(_: Scene, events: Any, order: Any) -> Event:
    events = _all(Event, events)
    if order not in ORDERS:
        raise ExecutionError(f"{order!r} is no order")
    if len(events) < (2 if order == "second" else 1):
        raise ExecutionError(f"the {order} of {len(events)} events")
    return sorted(events, key=_frame)[{"first": 0, "second": 1, "last": -1}[order]]


def _filter_ancestor(_: Scene, events: Any, event: Any) -> list[Event]:
    """The causes of an event, their causes, and so on; a cause is the event just before in a participant's history."""
    happened = [other for other in _all(Event, events) if other.objects]
    ancestors: list[Event] = []
    open_events = [_the(Event, event)]
    while open_events:
        effect = open_events.pop()
        for index in effect.objects:
            before = [other for other in happened if index in other.objects and _frame(other) < _frame(effect)]
            cause = max(before, key=_frame, default=None)
            if cause and cause not in ancestors:
                ancestors.append(cause)
                open_events.append(cause)
    return [other for other in happened if other in ancestors]


def _unique(_: Scene, items: Any) -> Any:
    if not isinstance(items, list) or len(items) != 1:
        raise ExecutionError(f"the one of {len(items) if isinstance(items, list) else items!r}")
    return items[0]


def _belong_to(_: Scene, item: Any, events: Any) -> str:
    """Whether an event of the same kind and objects is in `events`, or the object takes part in one of them."""
    happened = [event for event in _all(Event, events) if event.objects]
    if isinstance(item, Object):
        return _yes(any(item.index in event.objects for event in happened))
    thing = _the(Event, item)
    return _yes(any((event.kind, event.objects) == (thing.kind, thing.objects) for event in happened))


def _get_object(scene: Scene, event: Any) -> Object:
    if _the(Event, event).kind not in ("in", "out"):
        raise ExecutionError(f"the object of {event!r}")
    return scene.objects[event.objects[0]]


def _get_col_partner(scene: Scene, event: Any, item: Any) -> Object:
    if _the(Event, event).kind != "collision" or _the(Object, item).index not in event.objects:
        raise ExecutionError(f"the partner of {item!r} in {event!r}")
    return scene.objects[sum(event.objects) - item.index]


def _get_counterfact(scene: Scene, events: Any, item: Any) -> list[Event]:
    pairs = _known(scene.counterfactual, "counterfactual events")[_the(Object, item).index]
    return [event for event in _all(Event, events) if event.objects in pairs]


def _negate(_: Scene, value: Any) -> str:
    if value not in ("yes", "no"):
        raise ExecutionError(f"{value!r} where yes or no is needed")
    return _yes(value == "no")


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ExecutionError(f"{value!r} where a list is needed")
    return value


def _yes(value: bool) -> str:
    return "yes" if value else "no"


# Token → its arity, and its function of the scene and the popped values.
OPERATORS: dict[str, tuple[int, Callable[..., Any]]] = {
    "objects": (0, lambda scene: list(scene.objects)),
    "events": (0, lambda scene: list(scene.events)),
    "unseen_events": (0, lambda scene: list(_known(scene.unseen, "events after the video"))),
    "all_events": (0, _all_events),
    "null": (0, lambda _: "null"),
    "start": (0, lambda scene: scene.events[0]),
    "end": (0, lambda scene: scene.events[-1]),
    "filter_color": (2, functools.partial(_filter_attribute, "color", COLORS)),
    "filter_material": (2, functools.partial(_filter_attribute, "material", MATERIALS)),
    "filter_shape": (2, functools.partial(_filter_attribute, "shape", SHAPES)),
    "filter_moving": (2, functools.partial(_filter_motion, True)),
    "filter_stationary": (2, functools.partial(_filter_motion, False)),
    "filter_in": (2, functools.partial(_filter_kind, "in")),
    "filter_out": (2, functools.partial(_filter_kind, "out")),
    "filter_collision": (2, functools.partial(_filter_kind, "collision")),
    "filter_order": (2, _filter_order),
    "filter_before": (2, lambda _, events, of: [each for each in _all(Event, events) if _frame(each) < _frame(of)]),
    "filter_after": (2, lambda _, events, of: [each for each in _all(Event, events) if _frame(each) > _frame(of)]),
    "filter_ancestor": (2, _filter_ancestor),
    "unique": (1, _unique),
    "count": (1, lambda _, items: len(_listed(items))),
    "exist": (1, lambda _, items: _yes(bool(_listed(items)))),
    "negate": (1, _negate),
    "belong_to": (2, _belong_to),
    "query_color": (1, lambda _, item: _the(Object, item).color),
    "query_material": (1, lambda _, item: _the(Object, item).material),
    "query_shape": (1, lambda _, item: _the(Object, item).shape),
    "get_frame": (1, lambda _, event: _frame(event)),
    "get_object": (1, _get_object),
    "get_col_partner": (2, _get_col_partner),
    "get_counterfact": (2, _get_counterfact),
}
LITERALS = frozenset((*COLORS, *MATERIALS, *SHAPES, *ORDERS))
