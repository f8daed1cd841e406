import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from cluster.emulated import EmulatedSlice
from cluster.errors import ClusterError
from cluster.slices import slice_named


def test_a_taken_port_is_refused_before_anything_starts():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        before = set(psutil.Process().children())
        with pytest.raises(ClusterError, match=f"port {port} of 127.0.0.1 is taken"):
            EmulatedSlice(slice_named("v2-8"), port=port).__enter__()
    assert set(psutil.Process().children()) <= before


def test_what_points_elsewhere_is_not_inherited(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setenv("TPU_NAME", "another")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("https_proxy", "http://10.0.0.2:3128")
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/tmp/x --xla_force_host_platform_device_count=8")
    environment = EmulatedSlice(slice_named("v2-8"), port=None, environment={"MINE": "1"})._environment
    assert not {"RAY_ADDRESS", "TPU_NAME", "CUDA_VISIBLE_DEVICES", "https_proxy"} & environment.keys()
    assert environment["XLA_FLAGS"].split() == ["--xla_dump_to=/tmp/x"]
    assert environment["MINE"] == "1"
    assert environment["RAY_AUTH_MODE"] == "disabled"


def test_a_node_that_does_not_start_shows_the_end_of_its_log():
    before = set(psutil.Process().children())
    broken = EmulatedSlice(slice_named("v2-8"), port=None, environment={"PYTHONPATH": "", "PYTHONHOME": "/nowhere"})
    with pytest.raises(RuntimeError, match=r"node (head|host0.0) of .* ended; the end of .*log:\n(.*\n)*.*'encodings'"):
        broken.__enter__()
    shutil.rmtree(broken.folder)
    assert set(psutil.Process().children()) <= before


@pytest.fixture
def command():
    """`python -m cluster.emulated` with a single host; the test ends it."""
    arguments = [sys.executable, "-m", "cluster.emulated", "--slice=v2-8", "--port=0", "--devices_per_host=3"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout
    output = ""
    while "Ctrl-C ends it" not in output:
        assert process.poll() is None, output
        output += process.stdout.readline()
    yield process, output
    process.kill()
    process.communicate()
    shutil.rmtree(output.partition("logs:")[2].split()[0], ignore_errors=True)


SCRIPT = """
from cluster import gang
from cluster.slices import slice_named

assert gang.connect()
print(gang.run("tests.cluster.programs:describe", {}, slice_named("v2-8")).value)
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_however_it_ends(command, end):
    process, output = command
    processes = psutil.Process(process.pid).children(recursive=True)
    assert len(processes) > 5
    listening = set()
    for child in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended in the meantime
            connections = child.net_connections("tcp")
            listening |= {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}
    assert listening
    assert listening <= {"127.0.0.1", "::ffff:127.0.0.1"}

    if end == signal.SIGTERM:  # one of the two cases is enough
        address = output.partition("RAY_ADDRESS=")[2].split()[0]
        run = [sys.executable, "-c", SCRIPT]
        result = subprocess.run(run, env=os.environ | {"RAY_ADDRESS": address}, capture_output=True, text=True)
        assert "'worker_ids': [0], 'devices': [3, 3], 'sum': 0.0" in result.stdout, result.stderr
        processes += psutil.Process(process.pid).children(recursive=True)

    process.send_signal(end)
    assert process.wait(120) == (-signal.SIGKILL if end == signal.SIGKILL else 0)
    deadline = time.monotonic() + 120
    while left := [child for child in processes if child.is_running()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
