"""The one error that means: what was asked of the cluster cannot be."""


class ClusterError(Exception):
    """A bad request: a slice that does not exist or that the cluster has not got, a port that is taken.

    Raised before anything runs. The message names the numbers and the mend; entry points print it without a traceback
    and leave with `exit_status`.
    """

    exit_status = 2
