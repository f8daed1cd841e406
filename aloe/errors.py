"""The one error that means: something given by the user is wrong, and the hint that a wrong name is answered with."""

import difflib
from collections.abc import Collection


class InputError(ValueError):
    """Bad input, found before anything is compiled or written.

    The message names the file, the field and the mend. Entry points print it without a traceback and leave with
    `exit_status`, so that a launcher can tell a mistake to mend from a fault to retry.
    """

    exit_status = 2


def nearest(name: str, known: Collection[str]) -> str:
    """Ends a message about an unknown name: the closest of the known names, or all where none is close and few are."""
    close = difflib.get_close_matches(name, known, 1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there are: {', '.join(known)}." if len(known) <= 12 else "."
