"""The whole path on an emulated slice: four JAX processes through Ray, the real task, loop, data and checkpoints."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import psutil
import pytest

from aloe import tasks
from aloe.data import latents
from aloe.perception import encoding
from aloe.training import loop, workdir
from aloe.training.checkpoints import Checkpoints
from aloe.training.optimizer import lamb
from aloe.training.state import abstract_state
from aloe.training.step import data_mesh
from cluster import gang
from cluster.emulated import EmulatedSlice
from cluster.slices import slice_for_hosts
from tests.perception.monet.test_encoder import save_run
from tests.tasks.clevrer import encoded
from tests.tasks.monet import squares
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

HOSTS = 4
STEPS = 20
KILLED, LAST_STEP_BEFORE = 2, 15  # the rank that is killed, and its last step before that
ENTRY = "aloe.training.loop:run"


@pytest.fixture(scope="module")
def slice_of_four():
    slice = slice_for_hosts(HOSTS)
    environment = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # as in this process
    with EmulatedSlice(slice, devices_per_host=2, port=None, environment=environment) as emulated:
        assert gang.connect(emulated.address)
        yield slice


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return encoded.write_encoded(tmp_path_factory.mktemp("data"))


def settings(data, folder):
    resolved = encoded.settings(
        data,
        {
            "model.hidden": 1024,  # arrays that are large compared with their metadata, as in any real model
            "optimizer.learning_rate": 2e-4,  # at 2e-3 with so short a warm-up, rounding grows tenfold every few steps
            "optimizer.warmup_steps": 4,
            "optimizer.decay_steps": STEPS,
            "training.steps": STEPS,
            "training.log_every": 1,
            "training.evaluate_every": STEPS,
            "training.checkpoint_every_steps": 6,
        },
    )
    resolved.workdir = str(folder)
    return resolved


def losses(folder):
    lines = [json.loads(line) for line in (folder / workdir.METRICS).read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def final_state(resolved):
    """The last state, restored by this one process, however many wrote it."""
    checkpoints = Checkpoints(Path(resolved.workdir) / workdir.CHECKPOINTS, data_mesh(), resolved.training)
    task = tasks.part("clevrer", "task").make(resolved)
    abstract = abstract_state(task, lamb(resolved.optimizer))
    assert checkpoints.latest() == STEPS
    state = jax.device_get(checkpoints.restore(abstract))
    checkpoints.close()
    return state


@pytest.fixture(scope="module")
def uninterrupted(slice_of_four, data, tmp_path_factory):
    resolved = settings(data, tmp_path_factory.mktemp("uninterrupted"))
    outcome = gang.run(ENTRY, resolved.to_dict(), slice_of_four)
    assert outcome.status == "succeeded", outcome
    assert outcome.value["step"] == STEPS
    return resolved


def test_four_hosts_of_two_devices_train_as_one_host_of_eight(uninterrupted, data, tmp_path):
    """Same batches and draws, summed in another order: they differ by rounding, and by its growth over 20 steps."""
    alone = settings(data, tmp_path)
    loop.run(alone.to_dict(), stop=lambda step: False)
    together = losses(Path(uninterrupted.workdir))
    assert list(together) == list(range(1, STEPS + 1))
    by_itself = losses(tmp_path)
    assert by_itself[STEPS] < 0.95 * by_itself[1]
    for step, loss in by_itself.items():
        print(f"step {step}: 1 × 8 {loss:.8f}, 4 × 2 {together[step]:.8f}")
        assert together[step] == pytest.approx(loss, rel=1e-6 if step <= 3 else 1e-4)
    one, four = final_state(alone), final_state(uninterrupted)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-2 * np.abs(a).max()), one.params, four.params)
    assert any(np.any(a != 0) for a in jax.tree.leaves(one.params))


def test_every_host_writes_its_share(uninterrupted):
    folder = Path(uninterrupted.workdir) / workdir.CHECKPOINTS / str(STEPS) / "state"
    written = [
        sum(file.stat().st_size for file in (folder / f"ocdbt.process_{rank}").rglob("*") if file.is_file())
        for rank in range(HOSTS)
    ]
    print("bytes written by each host:", written)
    assert min(written) > 0
    assert max(written) <= 1.3 * sum(written) / HOSTS


def train_until_killed(config):
    """The training loop; at a step after a complete checkpoint, one rank writes its process ID and waits."""
    folder = Path(config["workdir"])

    def stop(step):
        if (jax.process_index(), step) == (KILLED, LAST_STEP_BEFORE):
            wait_for((folder / workdir.CHECKPOINTS / "12").exists, 60)  # it is written in the background
            (folder / "waiting").write_text(str(os.getpid()))
            time.sleep(600)
        return False

    return loop.run(config, stop=stop)


def test_a_killed_host_fails_the_run_and_a_restart_ends_in_the_same_bits(uninterrupted, slice_of_four, data, tmp_path):
    resolved = settings(data, tmp_path)

    def kill_one_host():
        wait_for((tmp_path / "waiting").exists, 600)
        wait_for((tmp_path / "waiting").read_text, 10)
        psutil.Process(int((tmp_path / "waiting").read_text())).kill()

    with ThreadPoolExecutor(1) as thread:
        killed = thread.submit(kill_one_host)
        outcome = gang.run(f"{__name__}:{train_until_killed.__name__}", resolved.to_dict(), slice_of_four)
        killed.result()
    assert (outcome.status, outcome.rank, outcome.lost) == ("failed", KILLED, True)

    outcome = gang.run(ENTRY, resolved.to_dict(), slice_of_four)
    assert outcome.status == "succeeded", outcome
    starts = [
        json.loads(line)["step"]
        for line in (tmp_path / workdir.EVENTS).read_text().splitlines()
        if '"event": "start"' in line
    ]
    assert starts == [0, 12]
    assert list(losses(tmp_path)) == list(range(1, STEPS + 1))
    jax.tree.map(np.testing.assert_array_equal, final_state(resolved), final_state(uninterrupted))


def test_hosts_encode_each_a_share_of_the_videos_and_the_same_latents(slice_of_four, tmp_path):
    videos = squares.write_squares(tmp_path / "squares", train=9, validation=1)
    checkpoint = save_run(tmp_path / "run", seed=0)
    config = {"task": "clevrer", "data": str(videos), "encoder": "monet", "checkpoint": str(checkpoint)}
    config |= {"splits": ["train"], "broken_limit": 0.0, "workers": 1, "frames_per_video": 0}
    assert encoding.run(config | {"latents": str(tmp_path / "one")}) == {"train": 9}

    alone = latents.open(tmp_path / "one" / "train")
    outcome = gang.run("aloe.perception.encoding:run", config | {"latents": str(tmp_path / "four")}, slice_of_four)
    assert outcome.value == {"train": 3}  # rank 0: every fourth of nine files
    together = latents.open(tmp_path / "four" / "train", alone.encoder)
    for index in alone.scene_indices:
        np.testing.assert_allclose(together.read(index), alone.read(index), atol=1e-5)


def test_monet_trains_on_a_slice_as_in_one_process(slice_of_four, tmp_path):
    videos = squares.write_squares(tmp_path / "squares", train=3, validation=1)
    resolved = squares.settings(videos, {"training.steps": 2, "training.log_every": 1, "training.evaluate_every": 2})
    outcome = gang.run(ENTRY, {**resolved.to_dict(), "workdir": str(tmp_path / "four")}, slice_of_four)
    assert outcome.status == "succeeded", outcome
    loop.run({**resolved.to_dict(), "workdir": str(tmp_path / "one")})
    together, alone = losses(tmp_path / "four"), losses(tmp_path / "one")
    assert list(together) == [1, 2]
    np.testing.assert_allclose(list(together.values()), list(alone.values()), rtol=1e-4)
