"""How the programs of this package exit."""

import sys
from collections.abc import Callable

from aloe.errors import InputError


def ended(program: Callable[[], None]) -> int:
    """Runs a program and returns its exit status. On bad input only the message is printed."""
    try:
        program()
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    return 0
