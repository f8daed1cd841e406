"""Sweeps as a user starts them: what is refused before anything starts, the names of runs, and a SIGKILL."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from aloe.training import workdir
from cluster.driver import sole_driver
from cluster.ledger import Ledger, Request
from cluster.outcomes import Budgets, Ended, Ending, Spent
from cluster.slices import slice_named
from launch import sweep
from tests.tasks.clevrer.encoded import SMALL, settings, write_encoded
from tests.tasks.clevrer.encoded import flags as small_flags

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_encoded(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--variants=papr"], r"--variant=papr: .* did you mean paper\?"),
        (["--variants=paper,,mlp"], r"--variants=paper,,mlp: a value is empty"),
        (["--variants="], r"--variants=: a value is empty"),
        (["--variants=mlp,mlp"], r"mlp stands there 2 times"),
        (["--seeds=0"], r"--seeds=0: give how many, at least 1"),
        (["--fractions=10,0"], r"--fractions=10,0: '0' is no percentage above 0 and up to 100"),
        (["--fractions=10,200"], r"'200' is no percentage"),
        (["--fractions=half"], r"'half' is no percentage"),
        (["--grid", "config.optimizer.learning_rate="], r"--grid config.optimizer.learning_rate=: a value is empty"),
        (["--grid", "optimizer.learning_rate=1"], r"--grid optimizer.learning_rate=1: takes config\.path\.to\.field"),
        (["--grid", "config.optimizer.learning_rat=1"], r"no such field; did you mean optimizer.learning_rate\?"),
        (["--grid", "config.model.latent=2,two"], r"--config.model.latent=two: .* type int"),
        (["--grid", "config.model.layers=1,2"], r"config.model.layers: it is set twice"),
        (["--grid", "config.seed=1,2"], r"--grid config.seed=1,2: give --seeds instead"),
        (["--grid", "config.variant=mlp"], r"--grid config.variant=mlp: give --variants instead"),
        (["--grid", "config.data.encoder=a/b"], r"'a/b' cannot be part of a folder's name"),
        (["--grid", "config.optimizer.learning_rate=1e-3,0.001"], r"learning_rate=1e-3 and .* one and the same run"),
        (["--config.seed=3"], r"--config.seed=3: give --seeds instead"),
        (["--config.workdir=x"], r"--config.workdir=x: give --folder instead"),
        (["--grid", "config.batch.accumulation=1,0"], r"config.batch.accumulation = 0: .* at least 1"),
        (["--grid", "config.batch.accumulation=1,3"], r"= 16 does not divide by 1 devices × .*accumulation = 3"),
        (["--config.data.latents=nowhere"], r"/nowhere/train: there is no latents store"),
        (["--data=nowhere"], r"/nowhere: there is no such data folder"),
        (["--hosts=4"], r"--local .* --hosts=4"),
        (["--runs_per_device=0"], r"--runs_per_device=0: give a number of at least 1"),
        (["--variant=paper"], r"unknown flag --variant; did you mean --variants\?"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(call, world, tmp_path, argv, message):
    status, _, error = call(sweep, f"--data={world}", "--local", "--seeds=2", *small_flags(), *argv)
    assert status == 2
    assert re.search(message, error), error
    assert list(tmp_path.iterdir()) == []


def test_a_workdir_of_another_configuration_is_refused_before_any_run_is_queued(call, world, tmp_path):
    taken = settings(world, {"seed": 1, "model.frames": 2})
    taken.workdir = str(tmp_path / "runs" / "clevrer-paper-s1")
    workdir.claim(taken)
    status, _, error = call(sweep, f"--data={world}", "--local", "--seeds=2", *small_flags())
    assert status == 2
    assert "clevrer-paper-s1/config.json: the folder holds a run of another configuration" in error
    assert "model.frames is 2 there and 3 here" in error
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["clevrer-paper-s1"]


@pytest.fixture
def undriven(monkeypatch):
    """Replaces the driver: every run ends at once with a made-up outcome; returns what was queued."""
    queued = []

    def drive(ledger, *_):
        queued.extend((run.name, ledger.request(run.name)[1], run.kinds, run.priority) for run in ledger.runs())
        for run in ledger.runs():
            seed = ledger.request(run.name)[1]["seed"]
            number = ledger.begin(run.name, "0", "device", 1)
            ended = Ended(Ending.SUCCEEDED, value={"scores": {"right": 10.0 * seed}})
            if run.name.startswith("clevrer-mlp-s1"):
                ended = Ended(Ending.FAILED, "NonFiniteError: step 3", final=True)
            ledger.end(run.name, number, ended, Budgets(), 2)
        return 0

    monkeypatch.setattr(sweep, "drive_on_devices", drive)
    monkeypatch.setattr(sweep, "drive_on_slices", drive)
    return queued


def test_every_combination_is_one_run_with_a_name_of_its_own(call, world, undriven, tmp_path):
    grid = ["--grid", "config.optimizer.learning_rate=1e-3,2e-3", "config.objective.mask=uniform"]
    lists = ["--seeds=2", "--variants=paper,hierarchical", "--fractions=10,50", *grid, "--priority=4"]
    status, out, _ = call(sweep, f"--data={world}", "--local", *small_flags(), *lists)
    assert status == 0
    configs = {name: config for name, config, _, _ in undriven}
    assert len(configs) == 2 * 2 * 2 * 2
    assert [config["seed"] for config in configs.values()] == [0] * 8 + [1] * 8
    config = configs["clevrer-hierarchical-s1-f10-learning_rate=2e-3-mask=uniform"]
    assert (config["variant"], config["seed"], config["model"]["frames"]) == ("hierarchical", 1, SMALL["model.frames"])
    assert config["data"]["labelled_fraction"] == 0.1
    assert config["optimizer"]["learning_rate"] == 2e-3
    assert config["objective"]["mask"] == "uniform"
    assert config["data"]["root"] == str(world)
    assert {config["workdir"] for config in configs.values()} == {str(tmp_path / "runs" / name) for name in configs}
    assert {(kinds, priority) for _, _, kinds, priority in undriven} == {(("device",), 4)}
    header, _, first, *_ = out.splitlines()
    assert re.sub(r"\s*\|\s*", "|", header) == (
        "|variant|labelled %|optimizer.learning_rate|objective.mask|split|n|right|"
    )
    assert re.sub(r"\s*\|\s*", "|", first) == "|paper|10|1e-3|uniform|validation|2|5.0 ± 7.1|"
    assert len(out.splitlines()) == 2 + 8


def test_a_field_whose_last_name_is_not_alone_is_called_by_its_path(call, world, undriven):
    grid = ["--grid", "config.training.log_every=5", "config.model.layers_within_frames=1", "config.batch.choice=16"]
    fixed = [flag for flag in small_flags() if "batch.choice" not in flag]
    assert call(sweep, f"--data={world}", "--local", *fixed, *grid)[0] == 0
    assert undriven[0][0] == "clevrer-paper-s0-log_every=5-layers_within_frames=1-choice=16"
    grid = ["--grid", "config.model.hidden=32,64", "--grid", "config.model.dropout=0.1,0.2"]
    fixed = [flag for flag in small_flags() if "model.hidden" not in flag and "model.dropout" not in flag]
    undriven.clear()
    assert call(sweep, f"--data={world}", "--local", "--folder=other", *fixed, *grid)[0] == 0
    assert {name for name, *_ in undriven} == {
        f"clevrer-paper-s0-hidden={hidden}-dropout={dropout}" for hidden in (32, 64) for dropout in (0.1, 0.2)
    }


def test_what_did_not_succeed_is_named_and_left_out_of_the_table(call, world, undriven):
    argv = [f"--data={world}", "--local", "--variants=paper,mlp", "--seeds=3", *small_flags({"batch.choice": 32})]
    status, out, error = call(sweep, *argv, "--format=json")
    assert status == 1
    assert [(record["variant"], record["n"], record["mean"]) for record in json.loads(out)] == [
        ("paper", 3, 10.0),
        ("mlp", 2, 10.0),
    ]
    assert "not in the table: clevrer-mlp-s1, failed: NonFiniteError: step 3. python launch/runs.py show" in error


def test_a_run_may_have_larger_slices_over_which_its_batches_divide(call, world, undriven):
    batches = {f"batch.{name}": 64 for name in ("descriptive", "choice", "unsupervised")}
    assert call(sweep, f"--data={world}", "--hosts=4", *small_flags(batches))[0] == 0
    batches = {f"batch.{name}": 256 for name in ("descriptive", "choice", "unsupervised")}
    assert call(sweep, f"--data={world}", "--hosts=4", "--folder=other", *small_flags(batches))[0] == 0
    assert [kinds for _, _, kinds, _ in undriven] == [("v2-32",), ("v2-32", "v2-128", "v2-256")]
    for kind in undriven[1][2]:
        assert 256 % slice_named(kind).devices == 0


def test_a_run_may_have_smaller_slices_after_all_others_where_that_is_asked(call, world, undriven):
    batches = {f"batch.{name}": 128 for name in ("descriptive", "choice", "unsupervised")}
    assert call(sweep, f"--data={world}", "--hosts=4", "--smaller", *small_flags(batches))[0] == 0
    assert [kinds for _, _, kinds, _ in undriven] == [("v2-32", "v2-128", "v2-8")]


def test_a_second_driver_is_told_where_the_first_one_is(call, world, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    queue = tmp_path / "runs" / "queue"
    with Ledger(queue) as ledger, sole_driver(queue):
        ledger.add([Request("clevrer-paper-s0", "m:f", {}, ("v2-32",), 3)])
        status, _, error = call(sweep, f"--data={world}", "--local", "--seeds=2", *small_flags())
        (left,) = ledger.runs()
    assert status == 2
    assert (left.name, left.kinds, left.priority) == ("clevrer-paper-s0", ("v2-32",), 3)  # unchanged
    assert re.search(rf"{queue}: another driver has this queue: process {os.getpid()} on ", error)


def test_a_queue_that_has_the_run_with_other_settings_is_refused(call, world, undriven):
    assert call(sweep, f"--data={world}", "--local", *small_flags())[0] == 0
    status, _, error = call(sweep, f"--data={world}", "--local", *small_flags({"model.frames": 2}))
    assert status == 2
    assert "run clevrer-paper-s0" in error
    assert "config.model.frames is 3 there and 2 here. Take those, or name another --queue." in error


STEPS = 80


def logged(folder):
    path = folder / workdir.METRICS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def descendants(process):
    return {child.pid for child in psutil.Process(process.pid).children(recursive=True)}


def test_a_sweep_on_this_machine_does_without_ray():
    program = "import sys; import launch.sweep, launch.runs; sys.exit('ray' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", program], env=environment).returncode == 0


@pytest.mark.slow
def test_a_sweep_whose_driver_is_killed_goes_on_with_the_same_command(world, tmp_path):
    small = {
        "model.layers": 1,
        "training.steps": STEPS,
        "training.log_every": 1,
        "training.evaluate_every": STEPS,
        "training.checkpoint_every_steps": STEPS,
    }
    command = [sys.executable, str(ROOT / "launch/sweep.py"), "--task=clevrer", "--local", "--seeds=2"]
    command += [f"--data={world}", "--format=json", *small_flags(small)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ALOE_")}
    environment |= {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "2"}
    environment |= {"JAX_DISABLE_MOST_OPTIMIZATIONS": "true"}
    run = {"cwd": tmp_path, "env": environment, "text": True}
    folders = [tmp_path / "runs" / f"clevrer-paper-s{seed}" for seed in (0, 1)]

    with (tmp_path / "first.txt").open("w") as output:
        driver = subprocess.Popen(command, **run, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 300

        def wait_until(reached):
            while not reached():
                assert driver.poll() is None, (tmp_path / "first.txt").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)

        wait_until(lambda: "attempt 1" in (tmp_path / "first.txt").read_text())
        second = subprocess.run(command, **run, capture_output=True, timeout=120)
        assert second.returncode == 2
        assert f"another driver has this queue: process {driver.pid} on " in second.stderr
        assert shlex.join(command[1:4]) in second.stderr
        wait_until(lambda: min(len(logged(folder)) for folder in folders) >= 8)
        left = descendants(driver)
        assert len(left) >= 2
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    assert all(len([line for line in logged(folder) if "loss" in line]) < STEPS for folder in folders)

    done = subprocess.run(command, **run, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert not [pid for pid in left if psutil.pid_exists(pid)]
    records = json.loads(done.stdout)
    assert {record["n"] for record in records} == {2}
    assert {"descriptive", "counterfactual"} <= {record["score"] for record in records}
    for folder in folders:
        assert [line["step"] for line in logged(folder) if "loss" in line] == list(range(1, STEPS + 1))
        events = [json.loads(line) for line in (folder / workdir.EVENTS).read_text().splitlines()]
        assert [event["event"] for event in events if event["event"] in ("start", "stop", "end")] == [
            "start",
            "stop",  # on the driver's death, after saving
            "start",
            "end",
        ]
        starts = [event["step"] for event in events if event["event"] == "start"]
        assert 8 <= starts[1] < STEPS
    with Ledger(tmp_path / "runs" / "queue") as ledger:
        for each in ledger.runs():
            assert (each.state, each.spent) == ("succeeded", Spent())
            assert [attempt.ending for attempt in ledger.attempts(each.name)] == ["released", "succeeded"]

    again = subprocess.run(command, **run, capture_output=True, timeout=120)
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert "attempt" not in again.stderr
