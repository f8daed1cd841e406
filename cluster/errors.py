"""The error that means: what was asked of the cluster cannot be; and its kind that time may mend."""


class ClusterError(Exception):
    """A bad request: a slice that does not exist or that the cluster has not got, a port that is taken.

    Raised before anything runs. The message names the numbers and the mend; entry points print it without a traceback
    and leave with `exit_status`.
    """

    exit_status = 2


class UnavailableError(ClusterError):
    """A slice that there is, but not here or not now: it has not joined, has left, or is busy."""
