"""A SIGKILL in the middle of encoding: the same command, run again, gives the store of an uninterrupted run."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from aloe.data import latents
from tests.commands import ROOT, launch
from tests.perception.monet.test_encoder import save_run
from tests.tasks.monet.squares import write_squares

VIDEOS = 24


def written(store):
    return [file for file in (store / "c").rglob("*") if file.is_file() and "lock" not in file.name]


@pytest.mark.slow
def test_a_killed_encoding_goes_on_to_the_store_of_an_undisturbed_one(tmp_path):
    squares, run = write_squares(tmp_path / "squares", train=VIDEOS, validation=1), save_run(tmp_path / "run", seed=0)
    flags = ["--task=clevrer", f"--data={squares}", "--splits=train", "--encoder=monet", f"--checkpoint={run}"]
    launch("encode.py", *flags, f"--latents={tmp_path / 'whole'}")

    store = tmp_path / "killed" / "train"
    command = [sys.executable, str(ROOT / "launch" / "encode.py"), *flags, f"--latents={store.parent}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not written(store) and process.poll() is None:
            time.sleep(0.002)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    missing = latents.open(store).missing()
    assert 0 < len(missing) < VIDEOS

    assert f"{VIDEOS} videos" in launch("encode.py", *flags, f"--latents={store.parent}")
    undisturbed, resumed = latents.open(tmp_path / "whole" / "train"), latents.open(store)
    for index in undisturbed.scene_indices:
        np.testing.assert_array_equal(resumed.read(index), undisturbed.read(index))
