"""Runs a JAX program on every host of a TPU slice, with Ray, or on a slice emulated on this machine.

    slices    the slices there are
    gang      one run on one slice: `connect`, then `run("module:function", config, slice)`
    host      one JAX process, and the Outcome that comes back from it
    emulated  a slice on this machine: `python -m cluster.emulated --hosts=4`
    node      one Ray node of it
    placement takes a whole slice

It knows nothing of the program that it runs. Paths in a config must be absolute, for the hosts' working directory is a
copy.
"""

import os

# Ray reads it when it is imported: equal lines of several hosts are all shown.
os.environ.setdefault("RAY_DEDUP_LOGS", "0")
