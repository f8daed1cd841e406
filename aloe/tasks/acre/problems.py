"""Problems as the official configs have them: six context panels and four queries each."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from aloe.data.fields import field, one_of, require_unique, within
from aloe.errors import InputError
from aloe.tasks.acre import solver
from aloe.tasks.acre.solver import ACTIVATED, INACTIVATED, UNDETERMINED, Panel

CONTEXT, QUERIES = 6, 4
PANELS = CONTEXT + QUERIES
LABELS = ("inactivated", "undetermined", "activated")
# The possible labels of each type. "potential" is the paper's backward blocking.
TYPES = {
    "direct": (INACTIVATED, ACTIVATED),
    "indirect": (ACTIVATED,),
    "screen_off": (INACTIVATED,),
    "potential": (UNDETERMINED,),
}
_LIGHT = {True: "on", False: "off"}


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """Would these objects light up the machine?

    Attributes:
      objects: ids, without duplicates.
      label: index into LABELS.
      type: one of TYPES, the reasoning it takes. No model may see it: except for "direct", it gives the label away.
      ref: for an intervention, the unlit context panel whose objects the query starts with, in the same order, before
        the added ones; shared by all interventions of a problem. None for a single object.
    """

    objects: tuple[int, ...]
    label: int
    type: str
    ref: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One problem.

    Attributes:
      scene_index: unique across the splits (see files.py).
      context: the six panels in order.
      queries: the four queries in order.
    """

    scene_index: int
    context: tuple[Panel, ...]
    queries: tuple[Query, ...]

    @property
    def panels(self) -> tuple[tuple[int, ...], ...]:
        """The objects of all ten panels."""
        return (*(panel.objects for panel in self.context), *(query.objects for query in self.queries))


def parse_problems(entries: Any, first_index: int) -> tuple[list[Problem], list[str]]:
    """Reads a config.

    Args:
      entries: the parsed JSON, a list of problems, each a list of ten panels.
      first_index: scene index of the first problem; the others follow consecutively.

    Returns:
      The valid problems in order, and what is wrong with the others, each by problem, panel and field.

    Raises:
      InputError: it is not a list, or is empty.
    """
    if not isinstance(entries, list) or not entries:
        raise InputError("must be a list […] with ten panels for each problem")
    problems, wrong = [], []
    for place, entry in enumerate(entries):
        try:
            with within(f"problem {place}"):
                problems.append(parse_problem(entry, first_index + place))
        except InputError as error:
            wrong.append(str(error))
    return problems, wrong


def parse_problem(entry: Any, scene_index: int) -> Problem:
    """Reads one problem.

    Raises:
      InputError: a panel or a field is missing or wrong, no set of blickets explains the context, a label is not what
        follows from the context, or an intervention does not match the panel it names.
    """
    if not isinstance(entry, list) or len(entry) != PANELS:
        found = f"{len(entry)} panels" if isinstance(entry, list) else "no list of panels"
        raise InputError(f"has {found}; it must have {CONTEXT} context panels and {QUERIES} queries")
    context, queries = [], []
    for place, panel in enumerate(entry):
        with within(f"panel {place}"):
            if place < CONTEXT:
                lit = one_of(panel, "light_state", tuple(_LIGHT.values())) == _LIGHT[True]
                context.append(Panel(_objects(panel), lit))
            else:
                one_of(panel, "light_state", ("no",))
                queries.append(_query(panel))
    if not all(solver.candidates(context)):
        raise InputError("a lit panel has only objects that lie on unlit ones too: no blickets explain the context")
    for place, query in enumerate(queries, CONTEXT):
        right = solver.label(context, query.objects)
        if query.label != right:
            raise InputError(
                f"panel {place}: field 'label' is {query.label} ({LABELS[query.label]}), and {right} ({LABELS[right]}) "
                "follows from the context; the file is damaged, or of another dataset"
            )
    for place, query in enumerate(queries, CONTEXT):
        with within(f"panel {place}"):
            _check_intervention(query, context)
    refs = [query.ref for query in queries if query.ref is not None]
    if len(set(refs)) > 1:
        raise InputError(f"field 'ref' is {' and '.join(map(str, refs))}; the interventions of a problem share it")
    return Problem(scene_index, tuple(context), tuple(queries))


def _check_intervention(query: Query, context: Sequence[Panel]) -> None:
    """Raises InputError if the query is an intervention that does not add objects to those of an unlit panel."""
    if query.ref is None:
        return
    panel = context[query.ref]
    if panel.lit:
        raise InputError(f"field 'ref' is {query.ref}, a lit panel; an intervention adds objects to an unlit one")
    if len(query.objects) <= len(panel.objects) or query.objects[: len(panel.objects)] != panel.objects:
        raise InputError(
            f"field 'objects' is {list(query.objects)}; it must begin with those of panel {query.ref}, "
            f"{list(panel.objects)}, which 'ref' names, and have more"
        )


def to_json(problem: Problem) -> list[dict[str, Any]]:
    """The inverse of `parse_problem`."""
    panels: list[dict[str, Any]] = [
        {"light_state": _LIGHT[panel.lit], "objects": list(panel.objects)} for panel in problem.context
    ]
    for query in problem.queries:
        entry = {"light_state": "no", "objects": list(query.objects), "label": query.label, "type": query.type}
        panels.append(entry if query.ref is None else entry | {"ref": query.ref})
    return panels


def _objects(panel: Any) -> tuple[int, ...]:
    objects = field(panel, "objects", list)
    if not objects or not all(type(one) is int and one >= 0 for one in objects):
        raise InputError(f"field 'objects' is {objects}; it must be a list of ids, whole numbers of 0 or more")
    require_unique("objects", objects)
    return tuple(objects)


def _query(panel: Any) -> Query:
    label, kind = field(panel, "label", int), one_of(panel, "type", tuple(TYPES))
    if not 0 <= label < len(LABELS):
        raise InputError(f"field 'label' is {label}; it must be 0, 1 or 2: {', '.join(LABELS)}")
    if label not in TYPES[kind]:
        allowed = " or ".join(map(str, TYPES[kind]))
        raise InputError(f"field 'label' is {label} of a query of the type {kind!r}, whose label is {allowed}")
    ref = field(panel, "ref", int) if "ref" in panel else None
    if ref is not None and not 0 <= ref < CONTEXT:
        raise InputError(f"field 'ref' is {ref}; it must be a context panel, 0 to {CONTEXT - 1}")
    return Query(_objects(panel), label, kind, ref)
