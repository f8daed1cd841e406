"""What the entry points share: flags that suggest the nearest name, the data folder, a clean exit on bad input."""

import argparse
import difflib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from aloe.errors import InputError


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that takes no abbreviations and names the nearest flag when one is unknown (exit status 2)."""

    def __init__(self, description: str | None) -> None:
        super().__init__(
            description=description, allow_abbrev=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )

    def add_task(self) -> None:
        self.add_argument("--task", required=True, help="name of a folder in aloe/tasks/")

    def add_data(self) -> None:
        self.add_argument(
            "--data",
            type=Path,
            default=os.environ.get("ALOE_DATA"),
            help="folder of the data; else $ALOE_DATA, else data/TASK",
        )

    def parse(self, argv: Sequence[str] | None = None) -> argparse.Namespace:
        """Parses the command line, and fills in the data folder that depends on the task."""
        flags, unknown = self.parse_known_args(argv)
        if unknown:
            self.fail_on(unknown[0])
        if hasattr(flags, "data"):
            flags.data = Path(flags.data or Path("data") / flags.task)
        return flags

    def fail_on(self, unknown: str) -> NoReturn:
        flag = unknown.split("=")[0]
        known = [option for action in self._actions for option in action.option_strings]
        close = difflib.get_close_matches(flag, known, 1)
        self.error(f"unknown flag {flag}" + (f"; did you mean {close[0]}?" if close else "; --help lists them"))


def run(main: Callable[[], object]) -> None:
    """Runs an entry point; bad input prints its message alone and leaves with its exit status."""
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_status)
