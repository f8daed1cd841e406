"""Runs on CPU hosts and on GPU hosts: real Ray and real JAX processes; the GPUs exist in Ray's accounting only."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import ray

from cluster import gang, placement
from cluster.emulated import EmulatedSlice
from cluster.errors import UnavailableError
from cluster.slices import slice_named
from tests.waiting import wait_for

CPU_2, H100_16 = slice_named("cpu-2"), slice_named("h100-16")
DEVICES = 3  # per host; also the number of CPUs of a CPU host

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def emulated():
    with EmulatedSlice(CPU_2, devices_per_host=DEVICES, port=None) as emulated:
        emulated.add(H100_16)
        assert gang.connect(emulated.address)
        yield emulated


@pytest.fixture
def start(tmp_path):
    """Starts a run that stays until a file exists; returns its folder, the file and the future of its outcome."""
    with ThreadPoolExecutor() as threads:
        until = []

        def start(name, slice):
            folder = tmp_path / name
            folder.mkdir()
            until.append(folder / "until")
            config = {"folder": str(folder), "until": str(until[-1])}
            return folder, until[-1], threads.submit(gang.run, "tests.cluster.programs:stay", config, slice)

        yield start
        for path in until:
            path.touch()


def given(folder):
    """What every rank of a run was given; empty until all ranks have started."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("[0-9]"))]
    return found if len(found) == 2 else []


def test_a_process_of_a_gpu_host_sees_all_of_its_gpus_and_nobody_else_gets_one_meanwhile(emulated, start):
    folder, until, run = start("run", H100_16)
    wait_for(lambda: given(folder), 60)
    refused = pytest.raises(UnavailableError, match="every h100-16 of the cluster has been busy")
    with refused, placement.reserved(H100_16, 0.5, lambda: None):
        pass
    asked = ray.remote(num_gpus=1)(ray.get_gpu_ids).remote()
    assert ray.wait([asked], timeout=1) == ([], [asked])
    until.touch()
    assert run.result(60).status == "succeeded"
    assert [each["gpus"] for each in given(folder)] == ["0,1,2,3,4,5,6,7"] * 2
    assert [each["labels"]["worker-id"] for each in given(folder)] == ["0", "1"]
    assert len(ray.get(asked, timeout=30)) == 1


def test_two_runs_of_one_cpu_slice_take_turns_and_each_has_all_cpus(emulated, start):
    runs = [start(name, CPU_2) for name in ("a", "b")]
    wait_for(lambda: any(given(folder) for folder, _, _ in runs), 60)
    time.sleep(3)  # longer than a single attempt to place a run lasts
    assert sum(bool(given(folder)) for folder, _, _ in runs) == 1
    for _, until, _ in runs:
        until.touch()
    first, second = sorted((run.result(60).value for _, _, run in runs), key=lambda value: value["came"])
    assert first["left"] < second["came"]
    for folder, _, _ in runs:
        assert [(each["cpus"], each["sum"], each["gpus"]) for each in given(folder)] == [(DEVICES, DEVICES * 3, "")] * 2


def test_a_cpu_host_goes_and_is_replaced_and_ranks_follow_worker_ids_whoever_joins_last(emulated, start):
    name = placement.whole_slices()[-1][1]
    folder, _, run = start("before", CPU_2)
    wait_for(lambda: given(folder), 60)
    emulated.lose(name, 0)
    outcome = run.result(60)
    assert (outcome.status, outcome.message.partition(":")[0]) == ("preempted", "the machine of host 0 has gone")
    wait_for(lambda: (CPU_2, name) not in placement.whole_slices(), 60)
    with pytest.raises(UnavailableError, match=rf"no whole cpu-2 \(2 hosts.* a cpu-2 called {name} with host 1"):
        gang.run("tests.cluster.programs:stay", {}, CPU_2)

    emulated.replace(name, 0)
    folder, until, run = start("after", CPU_2)
    until.touch()
    assert run.result(60).status == "succeeded"
    assert [each["labels"]["worker-id"] for each in given(folder)] == ["0", "1"]
