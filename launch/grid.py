"""The runs of a sweep: every combination of variant, labelled fraction and settings, once per seed."""

import argparse
import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict

from aloe.config import to_json
from aloe.errors import InputError
from launch.flags import FLAGS, resolve_run

_FRACTION = "data.labelled_fraction"
_PREFIX = "config."
_OWN_FLAGS = FLAGS | {
    "variant": "--variants",
    "workdir": "--folder",
    "seed": "--seeds",
    "profile": "--profile to launch/train.py",
}


@dataclasses.dataclass(frozen=True)
class _Axis:
    """A field with its values as text.

    Attributes:
      path: dotted path of the field.
      label: heading of its column in the table.
      short: prefix of its values in run names.
      texts: the values as the user gave them.
      percent: whether they are percentages, while the field takes fractions.
    """

    path: str
    label: str
    short: str
    texts: Sequence[str]
    percent: bool = False

    def value(self, text: str) -> str:
        return repr(float(text) / 100) if self.percent else text


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of a sweep; `labels` describe, for people, what it shares with other seeds."""

    name: str
    labels: Mapping[str, str]
    config: ConfigDict


def cells(flags: argparse.Namespace) -> list[Cell]:
    """The runs that the flags of launch/sweep.py request, each with its configuration; all runs of seed 0 come first.

    A run is named <task>-<variant>-s<seed>, then -f<percent> if fractions are swept, and -<field>=<value> for every
    field of the grid.

    Raises:
      InputError: a list is empty or names something twice, or a variant, field or value is not valid.
    """
    variants = _list("--variants", flags.variants)
    if flags.seeds < 1:
        raise InputError(f"--seeds={flags.seeds}: give how many, at least 1.")
    for path in flags.overrides.keys() & _OWN_FLAGS.keys():
        raise InputError(f"--config.{path}={flags.overrides[path]}: give {_OWN_FLAGS[path]} instead.")
    axes = [*_fractions(flags.fractions), *_grid(flags.grid)]
    for path, count in Counter([axis.path for axis in axes] + list(flags.overrides)).items():
        if count > 1:
            raise InputError(f"config.{path}: it is set twice, as one value and as several; leave one of them out.")
    found: list[Cell] = []
    names: dict[str, str] = {}  # by configuration
    per_seed = itertools.product(variants, *(axis.texts for axis in axes))
    for seed, (variant, *texts) in itertools.product(range(flags.seeds), per_seed):
        chosen = list(zip(axes, texts, strict=True))
        name = f"{flags.task}-{variant}-s{seed}" + "".join(f"-{axis.short}{text}" for axis, text in chosen)
        one = {
            "variant": variant,
            "overrides": flags.overrides | {axis.path: axis.value(text) for axis, text in chosen} | {"seed": str(seed)},
            "workdir": flags.folder / name,
        }
        config = resolve_run(argparse.Namespace(**vars(flags) | one))
        same = names.setdefault(to_json(ConfigDict(config.to_dict() | {"workdir": ""})), name)
        if same != name:
            raise InputError(f"{same} and {name} would be one and the same run; leave one of the values out.")
        found.append(Cell(name, {"variant": variant} | {axis.label: text for axis, text in chosen}, config))
    return found


def _fractions(text: str) -> list[_Axis]:
    """The axis of --fractions, if any."""
    if not text:
        return []
    percents = _list("--fractions", text)
    for percent in percents:
        if not re.fullmatch(r"\d+(\.\d+)?", percent) or not 0 < float(percent) <= 100:
            raise InputError(f"--fractions={text}: {percent!r} is no percentage above 0 and up to 100.")
    return [_Axis(_FRACTION, "labelled %", "f", percents, percent=True)]


def _grid(texts: Sequence[str]) -> list[_Axis]:
    """One axis per field of --grid."""
    fields = []
    for text in texts:
        path, equals, values = text.partition("=")
        if not equals or not path.startswith(_PREFIX):
            raise InputError(f"--grid {text}: takes config.path.to.field=VALUE,VALUE.")
        path = path.removeprefix(_PREFIX)
        if path in _OWN_FLAGS:
            raise InputError(f"--grid {text}: give {_OWN_FLAGS[path]} instead.")
        fields.append((path, _list(f"--grid {_PREFIX}{path}", values)))
    lasts = [path.rpartition(".")[2] for path, _ in fields]
    return [
        _Axis(path, path, f"{last if lasts.count(last) == 1 else path}=", values)
        for (path, values), last in zip(fields, lasts, strict=True)
    ]


def _list(flag: str, text: str) -> list[str]:
    """The distinct values of a comma-separated list; they become part of a folder's name."""
    values = text.split(",")
    for value, count in Counter(values).items():
        if not value:
            raise InputError(f"{flag}={text}: a value is empty; give at least one, comma-separated.")
        if count > 1:
            raise InputError(f"{flag}={text}: {value} stands there {count} times; leave one of them out.")
        if not re.fullmatch(r"[\w.+-]+", value):
            raise InputError(
                f"{flag}={text}: {value!r} cannot be part of a folder's name; use letters, digits, . _ + -."
            )
    return values
