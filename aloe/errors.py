"""The one error that means: something given by the user is wrong."""


class InputError(ValueError):
    """Bad input, found before anything is compiled or written.

    The message names the file, the field and the mend. Entry points print it without a traceback and leave with
    `exit_status`, so that a launcher can tell a mistake to mend from a fault to retry.
    """

    exit_status = 2
