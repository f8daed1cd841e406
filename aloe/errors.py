"""The one error for invalid user input, and the hint appended to messages about unknown names."""

import difflib
from collections.abc import Collection


class InputError(ValueError):
    """Invalid input, detected before anything is compiled or written.

    The message names the file, the field and the fix. Entry points print it without a traceback and exit with
    `exit_status`, so that a launcher can tell a mistake to fix from a fault to retry.
    """

    exit_status = 2


def nearest(name: str, known: Collection[str]) -> str:
    """Ending for a message about an unknown name: the closest known name, or all of them if few and none is close."""
    close = difflib.get_close_matches(name, known, 1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there are: {', '.join(known)}." if len(known) <= 12 else "."
