"""Shared by the entry points: flags that suggest the nearest name, configurations, a clean exit on bad input."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from etils import epath
from ml_collections import ConfigDict

from aloe.config import resolve
from aloe.errors import InputError, nearest
from aloe.paths import absolute, on_disk
from cluster.errors import ClusterError

OVERRIDE = "--config."
# Fields that have a flag of their own.
FLAGS = {
    "task": "--task",
    "variant": "--variant",
    "workdir": "--workdir",
    "data.root": "--data",
    "profile": "--profile",
}
# What to do instead of giving a folder in a bucket, for flags that do not take one.
_COPY = "copy it to every host first, as with gcloud storage rsync --recursive"
_INSTEAD = {
    "queue": "SQLite and file locks need a folder on this machine's disk",
    "out": "write it here, and copy it to the bucket with gcloud storage rsync --recursive",
}


class Parser(argparse.ArgumentParser):
    """An ArgumentParser without abbreviations that suggests the nearest flag for an unknown one (exit status 2)."""

    def __init__(self, description: str | None) -> None:
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(description=description, allow_abbrev=False, formatter_class=formatter)

    def add_task(self) -> None:
        self.add_argument("--task", required=True, help="name of a folder in aloe/tasks/")

    def add_data(self) -> None:
        self.add_argument(
            "--data", default=os.environ.get("ALOE_DATA"), help="folder of the data; else $ALOE_DATA, else data/TASK"
        )

    def add_run(self) -> None:
        """Adds the flags of a run: its task, data, variant and workdir, and `--config.path.to.field=value`."""
        self.add_task()
        self.add_data()
        self.add_argument(
            "--variant",
            default=os.environ.get("ALOE_VARIANT", "paper"),
            help="one of the task's configurations; else $ALOE_VARIANT, else paper",
        )
        self.add_argument(
            "--workdir",
            default=os.environ.get("ALOE_WORKDIR"),
            help="folder of the run; else $ALOE_WORKDIR, else runs/TASK-VARIANT-sSEED",
        )
        self.add_overrides()

    def add_overrides(self) -> None:
        """Accepts `--config.path.to.field=value`."""
        self.set_defaults(overrides={})
        self.epilog = "--config.path.to.field=value overrides a field of the configuration; --dry_run prints them all."

    def parse(self, argv: Sequence[str] | None = None) -> argparse.Namespace:
        """Parses the command line, and fills in the default data folder, which depends on the task."""
        flags, unknown = self.parse_known_args(argv)
        for text in unknown:
            path, equals, value = text.removeprefix(OVERRIDE).partition("=")
            if hasattr(flags, "overrides") and text.startswith(OVERRIDE) and equals:
                flags.overrides[path] = value
            else:
                self.error(f"unknown flag {text.partition('=')[0]}{self.hint(text)}")
        for name, given in vars(flags).items():
            for path in given if isinstance(given, list) else [given]:
                if isinstance(path, Path):
                    on_disk(path, f"--{name}", _INSTEAD.get(name, _COPY))
                elif isinstance(path, epath.Path):
                    absolute(path)  # raises if it is not usable
        if hasattr(flags, "data"):
            flags.data_given = flags.data is not None
            flags.data = on_disk(flags.data or Path("data") / flags.task, "--data", _COPY)
        return flags

    def task_given(self, argv: Sequence[str] | None = None) -> str | None:
        """The task named on the command line, if any, for adding flags that only this task has."""
        early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        early.add_argument("--task")
        return early.parse_known_args(argv)[0].task

    def hint(self, unknown: str) -> str:
        known = [option for action in self._actions for option in action.option_strings]
        return nearest(unknown.partition("=")[0], known)


def resolve_run(flags: argparse.Namespace) -> ConfigDict:
    """The configuration of a run, with absolute folders, as each host runs in a folder of its own.

    Raises:
      InputError: the task, the variant or a field is unknown, a value is invalid, or a field has a flag of its own.
    """
    for path in flags.overrides.keys() & FLAGS.keys():
        raise InputError(
            f"{OVERRIDE}{path}={flags.overrides[path]}: give {FLAGS[path]}={flags.overrides[path]} instead."
        )
    config = resolve(flags.task, flags.variant, flags.overrides)
    config.workdir = str(absolute(flags.workdir or f"runs/{config.task}-{config.variant}-s{config.seed}"))
    config.data.root = str(flags.data.absolute())
    if config.data.get("frames"):
        on_disk(config.data.frames, "config.data.frames", _COPY)  # it is memory-mapped
    for section, name in (("data", "latents"), ("data", "frames"), ("perception", "pretrained")):
        if config.get(section, {}).get(name):
            config[section][name] = str(absolute(config[section][name]))
    return config


def run(main: Callable[[], int | None]) -> None:
    """Runs an entry point and exits with its status; for bad input, prints only the message and exits with status 2."""
    try:
        sys.exit(main())
    except (InputError, ClusterError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
