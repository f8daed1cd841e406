"""The folder of one run: its configuration, checkpoints, metrics and events. One folder, one configuration."""

import json

from etils import epath
from ml_collections import ConfigDict

from aloe.config import flatten, to_json
from aloe.data.whole import write_whole
from aloe.errors import InputError

CONFIG = "config.json"
CHECKPOINTS = "checkpoints"
METRICS = "metrics.jsonl"
EVENTS = "events.jsonl"
TENSORBOARD = "tensorboard"

# Where things are stored may change between restarts; what is computed may not.
MOVABLE = {"workdir", "data.root", "data.latents", "data.frames", "profile"}


def claim(config: ConfigDict) -> epath.Path:
    """Makes `config.workdir` the folder of this configuration, or checks that it already is.

    Raises:
      InputError: the folder holds a run with another configuration, or its config.json does not parse.
    """
    folder = epath.Path(config.workdir)
    refuse_another(config)
    if not (folder / CONFIG).exists():
        write_whole(folder / CONFIG, to_json(config))
    return folder


def refuse_another(config: ConfigDict) -> None:
    """Raises InputError where `claim` would; writes nothing."""
    folder = epath.Path(config.workdir)
    path = folder / CONFIG
    if not path.exists():
        return
    saved, wanted = dict(flatten(read(folder))), dict(flatten(config))
    changed = sorted(name for name in saved.keys() | wanted.keys() if saved.get(name) != wanted.get(name))
    differences = [
        f"{name} is {saved.get(name)!r} there and {wanted.get(name)!r} here" for name in changed if name not in MOVABLE
    ]
    if differences:
        raise InputError(
            f"{path}: the folder holds a run of another configuration: {'; '.join(differences)}. "
            "Name another --workdir, or take the run's own settings."
        )


def read(folder: epath.Path) -> ConfigDict:
    """The configuration of the run in a folder.

    Raises:
      InputError: there is no run, or its config.json does not parse.
    """
    path = folder / CONFIG
    try:
        return ConfigDict(json.loads(path.read_text()))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, so {folder} holds no run; name the --workdir of one.") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON ({error}); restore the file, or name another --workdir.") from None
