import copy
import json

import numpy as np
import pytest

from aloe.errors import InputError
from aloe.tasks.acre import generator
from aloe.tasks.acre.problems import parse_problem, parse_problems, to_json

REGIME = generator.regime("IID", "train")


@pytest.fixture
def entry():
    return to_json(generator.draw(REGIME, range(48), 0, np.random.default_rng(0)))


def test_what_is_written_is_read_back():
    for index in range(20):
        problem = generator.draw(REGIME, range(48), index, np.random.default_rng(index))
        assert parse_problem(json.loads(json.dumps(to_json(problem))), index) == problem


def test_good_problems_are_read_beside_broken_ones(entry):
    broken = copy.deepcopy(entry)
    del broken[7]["label"]
    problems, wrong = parse_problems([entry, broken, entry], first_index=100)
    assert [problem.scene_index for problem in problems] == [100, 102]
    assert wrong == ["problem 1: panel 7: field 'label' is missing; it must be a whole number"]
    for entries in ({}, [], None):
        with pytest.raises(InputError, match="ten panels for each problem"):
            parse_problems(entries, 0)


def set_field(place, name, value):
    return lambda entry: entry[place].update({name: value})


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda entry: entry.pop(), "has 9 panels; it must have 6 context panels and 4 queries"),
        (set_field(0, "light_state", "no"), "panel 0: field 'light_state' is 'no'; it must be one of on, off"),
        (set_field(8, "light_state", "on"), "panel 8: field 'light_state' is 'on'; it must be one of no"),
        (set_field(2, "objects", []), "panel 2: field 'objects'"),
        (set_field(2, "objects", [1, -1]), "panel 2: field 'objects'"),
        (set_field(2, "objects", [1, 1]), "panel 2: field 'objects' has the same value more than once"),
        (set_field(6, "label", 3), "panel 6: field 'label' is 3; it must be 0, 1 or 2"),
        (set_field(6, "type", "backward"), "panel 6: field 'type' is 'backward'; .*nearest"),
        (set_field(9, "ref", 6), "panel 9: field 'ref' is 6"),
    ],
)
def test_a_wrong_field_is_named_with_its_panel(entry, damage, named):
    damage(entry)
    with pytest.raises(InputError, match=named):
        parse_problem(entry, 0)


def test_an_intervention_adds_to_the_objects_of_one_unlit_panel(entry):
    unlit = [place for place in range(6) if entry[place]["light_state"] == "off"]
    lit = next(place for place in range(6) if entry[place]["light_state"] == "on")
    shared = entry[8]["ref"]
    base = entry[shared]["objects"]
    other = next(place for place in unlit if place != shared and set(entry[place]["objects"]) - set(base))

    def refused(place, named, **changes):
        with pytest.raises(InputError, match=named):
            parse_problem([each | (changes if number == place else {}) for number, each in enumerate(entry)], 0)

    refused(8, rf"panel 8: field 'ref' is {lit}, a lit panel", ref=lit)
    begin = r"panel 9: field 'objects' is \[.*\]; it must begin with those of panel \d, \[.*\], which 'ref' names"
    refused(9, begin, ref=other)
    refused(9, begin, objects=entry[9]["objects"][::-1])
    refused(9, begin, objects=base, label=0, type="screen_off")  # nothing is added
    added = {"objects": [*entry[other]["objects"], base[0]], "label": 0, "type": "screen_off"}
    refused(9, rf"field 'ref' is {shared} and {other}; the interventions of a problem share it", ref=other, **added)


def test_a_label_that_does_not_follow_from_the_context_is_refused(entry):
    for place in range(6, 10):
        right = entry[place]["label"]
        entry[place] |= {"label": 2 - right, "type": "direct"} if right != 1 else {"label": 0, "type": "screen_off"}
        with pytest.raises(InputError, match=rf"panel {place}: field 'label' is .* and {right} \(.*\) follows"):
            parse_problem(entry, 0)
        entry[place]["label"] = right
        entry[place]["type"] = {0: "direct", 1: "potential", 2: "direct"}[right]
    parse_problem(entry, 0)


def test_a_label_that_its_type_cannot_have_is_refused(entry):
    entry[6] |= {"type": "potential", "label": 2}
    with pytest.raises(InputError, match="field 'label' is 2 of a query of the type 'potential', whose label is 1"):
        parse_problem(entry, 0)


def test_a_context_that_no_blickets_explain_is_refused(entry):
    for panel in entry[:6]:
        panel["objects"] = [5]
    entry[0]["light_state"], entry[1]["light_state"] = "on", "off"
    with pytest.raises(InputError, match="no blickets explain the context"):
        parse_problem(entry, 0)
