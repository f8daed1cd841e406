import json

import pytest

from aloe.data.fields import field, is_number, number, optional_field, read_json, require_unique, vector, within
from aloe.errors import InputError


@pytest.mark.parametrize("content", [b"[" * 100_000, b'"\xff"', b"", b"[1, 2", b"nope"])
def test_any_file_that_does_not_parse_is_an_input_error_with_its_name(content, tmp_path):
    (tmp_path / "train.json").write_bytes(content)
    with pytest.raises(InputError, match=r"train\.json: not valid JSON"):
        read_json(tmp_path / "train.json")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"train\.json: cannot be read: No such file"):
        read_json(tmp_path / "train.json")


def test_a_number_is_no_truth_value_and_the_other_way_round():
    assert field({"a": 1}, "a", int) == 1
    assert field({"a": False}, "a", bool) is False
    for value, kind in ((True, int), (1, bool), ("1", int), (1.0, int)):
        with pytest.raises(InputError, match="field 'a' is"):
            field({"a": value}, "a", kind)


def test_null_is_absent():
    assert optional_field({"a": None}, "a", str) is None
    with pytest.raises(InputError, match="field 'a' is missing; it must be a string"):
        field({"a": None}, "a", str)


def test_a_long_value_is_shortened_in_the_message():
    with pytest.raises(InputError) as raised:
        field({"a": "x" * 10_000}, "a", int)
    assert len(str(raised.value)) < 200


def test_places_pile_up_in_front():
    message = r"^train\.json: scene_index 3: field 'a' is missing"
    with pytest.raises(InputError, match=message), within("train.json"), within("scene_index 3"):
        field({}, "a", int)


def test_other_errors_pass_unchanged():
    with pytest.raises(KeyError), within("train.json"):
        raise KeyError("a")


def test_unique():
    require_unique("id", [3, 1, 2])
    with pytest.raises(InputError, match=r"field 'id' .*\[1, 3\]"):
        require_unique("id", [3, 1, 3, 2, 1])


def test_a_number_is_one_that_float32_holds():
    assert all(map(is_number, (0, -3, 2.5, 1e30)))
    values = json.loads(f'[true, null, "1", [1], Infinity, NaN, 1e999, 1e31, {10**400}]')
    assert not any(map(is_number, values))


def test_numbers_and_vectors():
    record = {"one": 2, "flag": True, "three": [1, 2.5, -3], "two": [1, 2], "odd": [1, 2, "3"]}
    assert number(record, "one") == 2.0
    assert vector(record, "three") == [1, 2.5, -3]
    for read, name, message in (
        (number, "flag", "field 'flag' is True; it must be a number"),
        (number, "none", "field 'none' is None; it must be a number"),
        (vector, "two", r"field 'two' is \[1, 2\]; it must be three finite numbers"),
        (vector, "odd", "field 'odd' .* three finite numbers"),
    ):
        with pytest.raises(InputError, match=message):
            read(record, name)
