import pytest

from aloe.errors import InputError
from aloe.tasks.clevr.programs import FAMILIES, SIGNATURES, Node, family_of, parse_program, to_json

RED = {"function": "filter_color", "inputs": [0], "value_inputs": ["red"]}
SCENE = {"function": "scene", "inputs": [], "value_inputs": []}
COUNT = {"function": "count", "inputs": [1], "value_inputs": []}


def test_a_program_is_read_and_written_back():
    program = parse_program([SCENE, RED, COUNT])
    assert program == (Node("scene"), Node("filter_color", (0,), "red"), Node("count", (1,)))
    assert to_json(program) == [SCENE, RED, COUNT]


def test_every_answer_is_of_one_family():
    kinds = {function: signature.output for function, signature in SIGNATURES.items()}
    ends = {function for function, kind in kinds.items() if kind not in ("a set of objects", "an object")}
    assert {function for functions in FAMILIES.values() for function in functions} == ends
    assert family_of("less_than") == "compare_integer"
    assert family_of("query_size") == "query_attribute"


@pytest.mark.parametrize(
    ("nodes", "named"),
    [
        ([], "field 'program' must be a list"),
        ([SCENE, {**RED, "function": "filter_colour"}, COUNT], "node 1: field 'function' is 'filter_colour'"),
        ([SCENE, {**RED, "value_inputs": ["pink"]}, COUNT], r"node 1: field 'value_inputs' is \['pink'\]"),
        ([SCENE, {**RED, "value_inputs": []}, COUNT], "filter_color takes one of gray, red"),
        ([SCENE, {**SCENE, "value_inputs": ["red"]}], "scene takes nothing"),
        ([SCENE, {**RED, "inputs": [1]}, COUNT], r"node 1: field 'inputs' is \[1\]; it must be places of nodes before"),
        ([SCENE, {**RED, "inputs": [-1]}, COUNT], r"field 'inputs' is \[-1\]"),
        (
            [SCENE, RED, {**COUNT, "inputs": [1, 0]}],
            "count takes a set of objects, and is given a set of objects and a",
        ),
        (
            [SCENE, {**COUNT, "function": "query_color", "inputs": [0]}],
            "query_color takes an object, and is given a set",
        ),
        ([SCENE, RED], "ends with 'filter_color'; it must end with one of exist, count"),
    ],
)
def test_a_wrong_node_is_named(nodes, named):
    with pytest.raises(InputError, match=named):
        parse_program(nodes)
