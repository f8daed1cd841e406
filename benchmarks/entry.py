"""How the programs of this package end."""

import sys
from collections.abc import Callable

from aloe.errors import InputError


def ended(program: Callable[[], None]) -> int:
    """Runs a program; its exit status. Bad input prints its message alone."""
    try:
        program()
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    return 0
