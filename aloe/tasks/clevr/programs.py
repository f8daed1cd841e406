"""Functional programs in the format of the released questions: nodes in evaluation order, the last gives the answer.

{"function": "filter_color", "inputs": [0], "value_inputs": ["red"]}
"""

from typing import Any, NamedTuple

from aloe.data.fields import field, one_of, optional_field, within
from aloe.errors import InputError
from aloe.tasks.clevr.vocabulary import ATTRIBUTES, RELATIONS

SET, OBJECT, INTEGER, BOOL = "a set of objects", "an object", "a number", "yes or no"


class Signature(NamedTuple):
    """The signature of a function: the kinds of its inputs, the possible literals, and the kind of its output."""

    inputs: tuple[str, ...]
    literals: tuple[str, ...]
    output: str


class Node(NamedTuple):
    """A step of a program: a function, the indices of its input nodes, and its literal."""

    function: str
    inputs: tuple[int, ...] = ()
    literal: str = ""


Program = tuple[Node, ...]

SIGNATURES = {
    "scene": Signature((), (), SET),
    "unique": Signature((SET,), (), OBJECT),
    "relate": Signature((OBJECT,), RELATIONS, SET),
    "union": Signature((SET, SET), (), SET),
    "intersect": Signature((SET, SET), (), SET),
    "count": Signature((SET,), (), INTEGER),
    "exist": Signature((SET,), (), BOOL),
    **{f"filter_{name}": Signature((SET,), values, SET) for name, values in ATTRIBUTES.items()},
    **{f"same_{name}": Signature((OBJECT,), (), SET) for name in ATTRIBUTES},
    **{f"query_{name}": Signature((OBJECT,), (), name) for name in ATTRIBUTES},
    **{f"equal_{name}": Signature((name, name), (), BOOL) for name in ATTRIBUTES},
    **{name: Signature((INTEGER, INTEGER), (), BOOL) for name in ("equal_integer", "less_than", "greater_than")},
}

# By question family, the functions that its programs end with.
FAMILIES = {
    "exist": ("exist",),
    "count": ("count",),
    "compare_integer": ("equal_integer", "less_than", "greater_than"),
    "compare_attribute": tuple(f"equal_{name}" for name in ATTRIBUTES),
    "query_attribute": tuple(f"query_{name}" for name in ATTRIBUTES),
}
_FAMILY_OF = {function: family for family, functions in FAMILIES.items() for function in functions}


def family_of(function: str) -> str:
    """The family of the questions whose program ends with this function.

    Raises:
      InputError: no family's programs do.
    """
    if function not in _FAMILY_OF:
        raise InputError(f"the program ends with {function!r}; it must end with one of {', '.join(_FAMILY_OF)}")
    return _FAMILY_OF[function]


def parse_program(nodes: Any) -> Program:
    """Reads a program and checks that every node gets the inputs that its function takes.

    Raises:
      InputError: a function or literal is unknown, or a node has the wrong number or kind of inputs; the message names
        the node.
    """
    if not isinstance(nodes, list) or not nodes:
        raise InputError("field 'program' must be a list […] of nodes")
    program: list[Node] = []
    for place, record in enumerate(nodes):
        with within(f"node {place}"):
            program.append(_parse_node(record, program))
    family_of(program[-1].function)
    return tuple(program)


def to_json(program: Program) -> list[dict[str, Any]]:
    """The program in the format of the released files."""
    return [
        {
            "function": node.function,
            "inputs": list(node.inputs),
            "value_inputs": [node.literal] if node.literal else [],
        }
        for node in program
    ]


def _parse_node(record: Any, before: list[Node]) -> Node:
    function = one_of(record, "function", tuple(SIGNATURES))
    signature = SIGNATURES[function]
    inputs = field(record, "inputs", list)
    if not all(type(each) is int and 0 <= each < len(before) for each in inputs):
        raise InputError(f"field 'inputs' is {inputs}; it must be places of nodes before this one")
    kinds = tuple(SIGNATURES[before[each].function].output for each in inputs)
    if kinds != signature.inputs:
        raise InputError(f"{function} takes {_listed(signature.inputs)}, and is given {_listed(kinds)}")
    literals = optional_field(record, "value_inputs", list) or []
    if len(literals) != bool(signature.literals) or not set(literals) <= set(signature.literals):
        known = f"one of {', '.join(signature.literals)}" if signature.literals else "nothing"
        raise InputError(f"field 'value_inputs' is {literals}; {function} takes {known}")
    return Node(function, tuple(inputs), literals[0] if literals else "")


def _listed(kinds: tuple[str, ...]) -> str:
    return " and ".join(kinds) or "nothing"
