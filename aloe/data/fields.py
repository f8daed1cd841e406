"""JSON files and their fields, checked: what is wrong is said with the file, the place in it and the field."""

import contextlib
import difflib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aloe.errors import InputError

_NAMES = {dict: "an object {…}", list: "a list […]", str: "a string", int: "a whole number", bool: "true or false"}


def read_json(path: Path) -> Any:
    """Reads one JSON file.

    Raises:
      InputError: it cannot be read or does not parse (the message gives line and column).
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
    """Puts `place` (a file, an entry of it) in front of the message of an InputError raised inside."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


def field(record: Any, name: str, kind: type) -> Any:
    """`record[name]`, which must be there and of this kind.

    Raises:
      InputError: `record` is no JSON object, the field is missing, or its value is of another kind.
    """
    value = optional_field(record, name, kind)
    if value is None:
        raise InputError(f"field {name!r} is missing; it must be {_NAMES[kind]}")
    return value


def optional_field(record: Any, name: str, kind: type) -> Any:
    """`record[name]` of this kind, or None where it is absent or null.

    Raises:
      InputError: `record` is no JSON object, or the value is of another kind.
    """
    if not isinstance(record, dict):
        raise InputError(f"{_short(record)} stands where {_NAMES[dict]} with a field {name!r} must")
    value = record.get(name)
    # In Python true is an int too; in a file it is a mistake.
    if value is None or (isinstance(value, kind) and (kind is bool or not isinstance(value, bool))):
        return value
    raise InputError(f"field {name!r} is {_short(value)}; it must be {_NAMES[kind]}")


def one_of(record: Any, name: str, known: Sequence[str]) -> str:
    """The string `record[name]`, which must be one of `known`.

    Raises:
      InputError: it is missing or another value; the message gives the nearest of `known`.
    """
    value = field(record, name, str)
    if value not in known:
        nearest = difflib.get_close_matches(value, known, 1, cutoff=0.0)[0]
        raise InputError(f"field {name!r} is {_short(value)}; it must be one of {', '.join(known)}; nearest: {nearest}")
    return value


def require_unique(name: str, values: Sequence[int]) -> None:
    """Raises InputError if a value of the field `name` comes more than once."""
    twice = {value for value in values if values.count(value) > 1}
    if twice:
        raise InputError(f"field {name!r} has the same value more than once: {sorted(twice)}")


def refuse(wrong: Sequence[str], mend: str) -> None:
    """Raises InputError with the first few of what is wrong with a file's entries, if anything is, and the mend."""
    if wrong:
        more = f"\n… and {len(wrong) - 5} more; launch/check_data.py lists them" if len(wrong) > 5 else ""
        raise InputError("\n".join(wrong[:5]) + more + f"\n{mend}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
