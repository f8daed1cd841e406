"""The executor compared with direct searches over the scene, and with results worked out by hand."""

import itertools

import numpy as np
import pytest

from aloe.errors import InputError
from aloe.tasks.clevr import executor, files
from aloe.tasks.clevr.programs import Node, parse_program
from aloe.tasks.clevr.vocabulary import ATTRIBUTES


@pytest.fixture(scope="module")
def scenes(root):
    return list(files.read_scenes(root, "train").values())


def of(*nodes):
    """A program in which every node takes the previous one as input, except `scene`, which takes none."""
    program = []
    for place, (function, *literal) in enumerate(nodes):
        takes = () if function == "scene" else (place - 1,)
        program.append(Node(function, takes, *literal))
    return tuple(program)


def test_filters_counts_and_exist_are_searches(scenes):
    for scene, (name, values) in itertools.product(scenes[:10], ATTRIBUTES.items()):
        for value in values:
            wanted = sum(getattr(each, name) == value for each in scene.objects)
            several = of(("scene",), (f"filter_{name}", value), ("count",))
            assert executor.answer(several, scene) == str(wanted)
            there = of(("scene",), (f"filter_{name}", value), ("exist",))
            assert executor.answer(there, scene) == ("yes" if wanted else "no")


def single(scene, place):
    """Nodes that single out an object, or None if another one looks the same."""
    one = scene.objects[place]
    if scene.objects.count(one) > 1:
        return None
    return (("scene",), *((f"filter_{name}", value) for name, value in one._asdict().items()), ("unique",))


def test_relations_are_by_the_camera_and_same_leaves_out_the_object(scenes):
    asked = 0
    for scene in scenes[:10]:
        for place, one in enumerate(scene.objects):
            nodes = single(scene, place)
            if nodes is None:
                continue
            asked += 1
            for relation, name, sign in (
                ("left", "right", -1),
                ("right", "right", 1),
                ("front", "front", 1),
                ("behind", "front", -1),
            ):
                away_O = sign * (scene.location_Ox3 - scene.location_Ox3[place]) @ scene.directions[name]
                found = executor.values(of(*nodes, ("relate", relation)), scene)[-1]
                assert found == set(np.flatnonzero(away_O > 0).tolist()) - {place}
            for name in ATTRIBUTES:
                alike = sum(getattr(each, name) == getattr(one, name) for each in scene.objects) - 1
                assert executor.answer(of(*nodes, (f"same_{name}",), ("count",)), scene) == str(alike)
                assert executor.answer(of(*nodes, (f"query_{name}",)), scene) == getattr(one, name)
    assert asked > 30


def test_sets_are_joined_and_numbers_and_attributes_compared(scenes):
    scene = scenes[0]

    def two(function, first, second, *then):
        program = [Node("scene"), Node(first[0], (0,), first[1]), Node(second[0], (0,), second[1])]
        program.append(Node(function, (1, 2)))
        return (*program, *then)

    small, metal = ("filter_size", "small"), ("filter_material", "metal")
    count = Node("count", (3,))
    either = sum(each.size == "small" or each.material == "metal" for each in scene.objects)
    both = sum(each.size == "small" and each.material == "metal" for each in scene.objects)
    assert executor.answer(two("union", small, metal, count), scene) == str(either)
    assert executor.answer(two("intersect", small, metal, count), scene) == str(both)

    def numbers(function):
        nodes = (Node("scene"), Node(*small[:1], (0,), small[1]), Node("count", (1,)), Node("count", (0,)))
        return executor.answer((*nodes, Node(function, (2, 3))), scene)

    few, every = sum(each.size == "small" for each in scene.objects), len(scene.objects)
    assert [numbers(name) == "yes" for name in ("equal_integer", "less_than", "greater_than")] == [
        few == every,
        few < every,
        few > every,
    ]


def test_one_object_must_be_one(scenes):
    program = parse_program(
        [
            {"function": "scene", "inputs": []},
            {"function": "unique", "inputs": [0]},
            {"function": "query_size", "inputs": [1]},
        ]
    )
    with pytest.raises(InputError, match=rf"node 1, unique: the scene has {len(scenes[0].objects)} such objects"):
        executor.answer(program, scenes[0])
