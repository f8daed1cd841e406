"""The head of the cluster is killed, and with it all its state; in a new cluster, the same command resumes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cluster.emulated import EmulatedSlice
from cluster.ledger import Ledger, Request
from tests.faults.conftest import ENTRY, V2_8, Run, same_bits

pytestmark = [pytest.mark.slow, pytest.mark.faults]

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "RAY_gcs_rpc_server_reconnect_timeout_s": "5"}
DRIVER = """
import sys
from pathlib import Path
from cluster import gang, placement
from cluster.driver import drive
from cluster.ledger import Ledger
from cluster.outcomes import Budgets

assert gang.connect()
with Ledger(Path(sys.argv[1])) as ledger:
    sys.exit(drive(ledger, placement.places, budgets=Budgets(first_pause=1.0)))
"""


def drive(cluster, queue):
    environment = os.environ | ENVIRONMENT | {"RAY_ADDRESS": cluster.address, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", DRIVER, str(queue)], env=environment, start_new_session=True)


def add(queue, runs):
    with Ledger(queue) as ledger:
        config = {name: {"run": run.config.to_dict()} for name, run in runs.items()}
        ledger.add([Request(name, ENTRY, config[name], ("v2-8",)) for name in runs])


def test_the_head_is_killed_and_started_again(tmp_path):
    queue, run, other = tmp_path / "queue", Run(tmp_path / "run"), Run(tmp_path / "other")
    add(queue, {"run": run})
    with EmulatedSlice(V2_8, port=None, environment=ENVIRONMENT) as cluster:
        driver = drive(cluster, queue)
        run.at_step(25)
        head = psutil.Process(cluster._nodes["head"].pid)
        for process in [head, *head.children(recursive=True)]:
            process.kill()
        began = time.monotonic()
        driver.wait(120)
        print(f"the driver ended {time.monotonic() - began:.0f} s after the head, with {driver.returncode}")
        assert driver.returncode != 0
    assert len(run.starts()) == 1
    add(queue, {"other": other})  # an undisturbed one
    with EmulatedSlice(V2_8, port=None, environment=ENVIRONMENT) as cluster:
        driver = drive(cluster, queue)
        try:
            assert driver.wait(240) == 0
        finally:
            driver.send_signal(signal.SIGTERM)
    with Ledger(queue) as ledger:
        assert {each.name: each.state for each in ledger.runs()} == {"run": "succeeded", "other": "succeeded"}
    assert len(run.starts()) == 2
    assert run.starts()[1] >= 20
    same_bits(run, other)
