"""A barrier lets all processes through, or reports which ones are missing."""

import socket
import subprocess
import sys

PROCESS = """
import sys
import jax

address, processes, rank = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
jax.distributed.initialize(address, processes, rank, cluster_detection_method="deactivate")
from cluster.barrier import BarrierError, barrier

barrier("first", 60)
print("all came", flush=True)
if rank not in (1, 2):
    try:
        barrier("second", 5)
    except BarrierError as error:
        print(error, flush=True)
sys.stdin.read()  # until all that came have given up: rank 0 is whom they ask
import os
os._exit(0)
"""


def test_all_come_and_then_two_are_missing():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen([sys.executable, "-c", PROCESS, address, "4", str(rank)], stdin=pipe, stdout=pipe, text=True)
        for rank in range(4)
    ]
    try:
        said = {rank: [processes[rank].stdout.readline().strip() for _ in range(2)] for rank in (0, 3)}
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    for lines in said.values():
        assert lines == ["all came", "barrier 'second': after 5 s there is no sign of rank 1, 2."]
