"""Checked reading of JSON files and their fields: errors name the file, the place in it and the field."""

import contextlib
import difflib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from aloe.errors import InputError

_NAMES = {dict: "an object {…}", list: "a list […]", str: "a string", int: "a whole number", bool: "true or false"}


def read_json(path: Path) -> Any:
    """Reads one JSON file.

    Raises:
      InputError: it cannot be read or parsed (the message gives line and column).
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}. "
            "The file may be cut off: download or write it anew."
        ) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON: {error}. Download or write it anew.") from error


@contextlib.contextmanager
def within(place: object) -> Iterator[None]:
    """Prefixes the message of an InputError raised inside with `place` (a file, or an entry of it)."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


def field(record: Any, name: str, kind: type) -> Any:
    """Returns `record[name]`, which must be present and of this type.

    Raises:
      InputError: `record` is not a JSON object, the field is missing, or its value is of another type.
    """
    value = optional_field(record, name, kind)
    if value is None:
        raise InputError(f"field {name!r} is missing; it must be {_NAMES[kind]}")
    return value


def optional_field(record: Any, name: str, kind: type) -> Any:
    """Returns `record[name]`, which must be of this type, or None if it is absent or null.

    Raises:
      InputError: `record` is not a JSON object, or the value is of another type.
    """
    if not isinstance(record, dict):
        raise InputError(f"{_short(record)} stands where {_NAMES[dict]} with a field {name!r} must")
    value = record.get(name)
    # In Python, True is an int too; in a file, true in place of a number is a mistake.
    if value is None or (isinstance(value, kind) and (kind is bool or not isinstance(value, bool))):
        return value
    raise InputError(f"field {name!r} is {_short(value)}; it must be {_NAMES[kind]}")


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value of a JSON file is a number that float32 can hold: Infinity, NaN, 1e999 and true parse too."""
    return type(value) in (int, float) and abs(value) <= 1e30


def number(record: Any, name: str) -> float:
    """Returns the number `record[name]`. Raises InputError if it is absent or not one, see `is_number`."""
    value = record.get(name) if isinstance(record, dict) else None
    if not is_number(value):
        raise InputError(f"field {name!r} is {_short(value)}; it must be a number")
    return float(value)


def vector(record: Any, name: str) -> list[float]:
    """Returns the three numbers of the list `record[name]`. Raises InputError if it is absent or another list."""
    values = field(record, name, list)
    if len(values) != 3 or not all(map(is_number, values)):
        raise InputError(f"field {name!r} is {_short(values)}; it must be three finite numbers")
    return values


def one_of(record: Any, name: str, known: Sequence[str]) -> str:
    """Returns the string `record[name]`, which must be one of `known`.

    Raises:
      InputError: it is missing or has another value; the message suggests the nearest of `known`.
    """
    value = field(record, name, str)
    if value not in known:
        nearest = difflib.get_close_matches(value, known, 1, cutoff=0.0)[0]
        raise InputError(f"field {name!r} is {_short(value)}; it must be one of {', '.join(known)}; nearest: {nearest}")
    return value


def require_unique(name: str, values: Sequence[int]) -> None:
    """Raises InputError if a value of the field `name` occurs more than once."""
    twice = {value for value in values if values.count(value) > 1}
    if twice:
        raise InputError(f"field {name!r} has the same value more than once: {sorted(twice)}")


def refuse(wrong: Sequence[str], mend: str) -> None:
    """Raises InputError with the first few problems of a file's entries, if there are any, and how to fix them."""
    if wrong:
        more = f"\n… and {len(wrong) - 5} more; launch/check_data.py lists them" if len(wrong) > 5 else ""
        raise InputError("\n".join(wrong[:5]) + more + f"\n{mend}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
