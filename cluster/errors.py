"""The error for requests that the cluster cannot satisfy, and its subclass for those that it may satisfy later."""


class ClusterError(Exception):
    """A bad request: a slice that does not exist or that the cluster does not have, a port that is taken.

    Raised before anything runs. The message states the numbers and the remedy; entry points print it without a
    traceback and exit with `exit_status`.
    """

    exit_status = 2


class UnavailableError(ClusterError):
    """The slice exists, but not here or not now: it has not joined, has left, or is busy."""
