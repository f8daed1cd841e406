"""Runs a JAX program on every host of a slice, with Ray, or on a slice emulated on this machine.

    slices    the table of slices
    gang      one run on one slice: `connect`, then `run("module:function", config, slice)`
    process   one JAX process; host: the same as a Ray actor
    emulated  a slice on this machine: `python -m cluster.emulated --hosts=4`
    node      one Ray node of an emulated slice
    placement reserves a whole slice

and a queue of runs, over the slices of a cluster or the devices of this machine:

    policy    decides which run starts where: a pure function of a snapshot
    outcomes  how a run ends, and whether it is restarted
    ledger    the state, in SQLite
    driver    starts what the policy decides: `drive(ledger, places)`
    attempt   the process of one attempt at a run
    local     this machine's devices as places; a cluster's slices: `placement.places`

It knows nothing about the program that it runs. Paths in a config must be absolute, because the hosts' working
directory is a copy.
"""

import os

# Ray reads this when it is imported: identical lines from several hosts are all shown.
os.environ.setdefault("RAY_DEDUP_LOGS", "0")
