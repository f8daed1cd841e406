"""Training and scoring as a user starts them: what is refused, what is printed, what is written."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from aloe.tasks.clevrer import task as clevrer
from aloe.training import workdir
from aloe.training.checkpoints import byte_count
from aloe.training.optimizer import lamb
from aloe.training.state import abstract_state
from launch import evaluate, programs, train
from tests.tasks.clevrer.encoded import flags as small_flags
from tests.tasks.clevrer.encoded import settings, write_encoded

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_encoded(tmp_path_factory.mktemp("world"))


def below(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--task=clever"], r"--task=clever: no such task; did you mean --task=clevrer\?"),
        (["--variant=papr"], r"--variant=papr: .* did you mean paper\?"),
        (["--worksdir=x"], r"unknown flag --worksdir; did you mean --workdir\?"),
        (["--config.model.layer=3"], r"--config.model.layer=3: no such field; did you mean model.layers\?"),
        (["--config.model.layers=two"], r"--config.model.layers=two: .* type int, such as 28"),
        (["--config.data.root=here"], r"--config.data.root=here: give --data=here"),
        (["--config.workdir=here"], r"--config.workdir=here: give --workdir=here"),
        (["--config.profile=1:2"], r"--config.profile=1:2: give --profile=1:2"),
        (["--config.variant=quickstart"], r"--config.variant=quickstart: give --variant=quickstart"),
        (["--data=nowhere"], r"/nowhere: there is no such data folder.*make_world.py"),
        (["--config.data.latents=nowhere"], r"/nowhere/train: there is no latents store.*launch/encode.py"),
        (["--config.batch.choice=12"], r"config.batch.choice = 12 .* 8 devices × .*accumulation = 1; give 8 or 16"),
        (["--config.batch.accumulation=3"], r"= 16 does not divide by 8 devices × .*accumulation = 3; give 24\."),
        (["--config.batch.evaluation=0"], r"config.batch.evaluation = 0: .* at least 1"),
        (["--config.batch.accumulation=0"], r"config.batch.accumulation = 0: .* at least 1"),
        (["--config.training.log_every=0"], r"config.training.log_every = 0: .* at least 1"),
        (["--profile=5"], r"--profile=5: takes FIRST:LAST .*, such as 100:105"),
        (["--profile=5:2"], r"--profile=5:2: .*FIRST:LAST"),
        (["--profile=-3:4"], r"--profile=-3:4: .*FIRST:LAST"),
        (["--profile=a:b"], r"--profile=a:b: .*FIRST:LAST"),
        (["--hosts=4"], r"--local .* --hosts=4"),
        (["--slice=v2-32"], r"--local .* --slice=v2-32"),
    ],
)
@pytest.mark.parametrize("dry", [False, True])
def test_what_is_wrong_is_said_and_nothing_is_written(call, world, tmp_path, dry, argv, message):
    status, _, error = call(
        train, f"--data={world}", "--local", *small_flags({"training.steps": 1}), *argv, *(["--dry_run"] if dry else [])
    )
    assert status == 2
    assert re.search(message, error), error
    assert error.splitlines()[-1].startswith(("error: ", "train.py: error: "))
    assert below(tmp_path) == {}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--slice=v2-31"], r"no slice is called 'v2-31'; did you mean v2-32\?"),
        (["--hosts=3"], r"no slice of TPUs has 3 hosts; the nearest has 4"),
        (["--hosts=0"], r"no slice of TPUs has 0 hosts; the nearest has 1"),
    ],
)
def test_a_slice_that_there_is_not_is_refused(call, world, tmp_path, argv, message):
    status, _, error = call(train, f"--data={world}", *small_flags(), *argv)
    assert status == 2
    assert re.search(message, error), error
    assert error.startswith("error: ")
    assert below(tmp_path) == {}


def test_a_data_folder_that_is_empty_is_refused(call, tmp_path):
    (tmp_path / "empty").mkdir()
    status, _, error = call(train, "--data=empty", "--local")
    assert status == 2
    assert f"{tmp_path / 'empty'}: the data folder is empty" in error
    assert set(below(tmp_path)) == {tmp_path / "empty"}


def test_a_workdir_in_which_another_process_trains_is_refused_and_left_as_it_is(call, world, tmp_path, monkeypatch):
    monkeypatch.setattr(programs, "WAIT_S", 0.0)
    resolved = settings(world, {"training.steps": 1})
    resolved.workdir = str(tmp_path / "run")
    with programs.alone(workdir.claim(resolved), "the first one"):
        before = below(tmp_path)
        status, _, error = call(
            train, f"--data={world}", "--local", "--workdir=run", *small_flags({"training.steps": 1})
        )
        assert below(tmp_path) == before
    assert status == 2
    whereabouts = rf"process {os.getpid()} on \S+ since .*: the first one\. Wait for that one, .*--workdir"
    assert re.search(rf"{tmp_path}/run: another run is in it: {whereabouts}", error)


def test_a_workdir_of_another_configuration_is_refused_and_left_as_it_is(call, world, tmp_path):
    resolved = settings(world)
    resolved.workdir = str(tmp_path / "run")
    workdir.claim(resolved)
    before = below(tmp_path)
    status, _, error = call(
        train, f"--data={world}", "--local", "--workdir=run", *small_flags({"seed": 3, "model.layers": 1})
    )
    assert status == 2
    assert f"{tmp_path}/run/config.json: the folder holds a run of another configuration" in error
    assert "model.layers is 2 there and 1 here; seed is 0 there and 3 here" in error
    assert below(tmp_path) == before


def test_a_dry_run_tells_what_the_run_would_be_and_writes_nothing(call, world, tmp_path):
    status, out, _ = call(train, f"--data={world}", "--local", "--dry_run", "--config.seed=5", *small_flags())
    assert status == 0
    assert below(tmp_path) == {}

    printed = json.loads(re.search(r"^Configuration:\n(\{.*?^\})", out, re.DOTALL | re.MULTILINE)[1])
    assert printed["seed"] == 5
    assert printed["model"]["layers"] == 2
    assert printed["data"]["root"] == str(world)

    task = clevrer.make(settings(world))
    state = abstract_state(task, lamb(task.config.optimizer))
    for path, leaf in jax.tree.flatten_with_path(state.params)[0]:
        row = next(line for line in out.splitlines() if jax.tree_util.keystr(path, simple=True, separator="/") in line)
        assert str(leaf.shape) in row
    assert f"{sum(leaf.size for leaf in jax.tree.leaves(state.params)):,}" in out

    assert "1 hosts × 8 devices = 8 devices" in out
    for name in ("descriptive", "choice", "unsupervised"):
        assert re.search(rf"{name} +2 \(16\)", out)
    assert float(re.search(r"one step's values +([\d.]+) MiB", out)[1]) > 0
    assert f"Checkpoint: {byte_count(state) / 2**20:.1f} MiB" in out


@pytest.mark.slow
def test_a_dry_run_for_a_slice_divides_the_batch_by_its_devices(call, world, tmp_path):
    batches = {f"batch.{name}": 64 for name in ("descriptive", "choice", "unsupervised")}
    status, out, _ = call(train, f"--data={world}", "--hosts=4", "--dry_run", *small_flags(batches))
    assert status == 0
    assert "4 hosts × 8 devices = 32 devices" in out
    assert re.search(r"choice +2 \(64\)", out)
    assert "of                     8192.0 MiB" in out
    assert below(tmp_path) == {}


@pytest.mark.parametrize("folder", ["nothing", "claimed"])
def test_scores_need_a_checkpoint(call, world, tmp_path, folder):
    if folder == "claimed":
        resolved = settings(world)
        resolved.workdir = str(tmp_path / folder)
        workdir.claim(resolved)
    before = below(tmp_path)
    status, _, error = call(evaluate, "--local", f"--workdir={folder}")
    assert status == 2
    assert f"{tmp_path / folder}" in error
    assert ("holds no run" if folder == "nothing" else "no checkpoint yet") in error
    assert below(tmp_path) == before


STEPS, STOP_AFTER = 300, 10


class Run:
    """`launch/train.py --local` in its own process."""

    def __init__(self, world, folder):
        self.workdir = folder / "run"
        settings = small_flags(
            {
                "training.steps": STEPS,
                "training.log_every": 5,
                "training.evaluate_every": 10_000,
                "training.checkpoint_every_steps": 10_000,
            }
        )
        where = [f"--data={world}", f"--workdir={self.workdir}"]
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "launch/train.py", "--task=clevrer", "--local", "--profile=2:4", *where, *settings],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "2"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def until(self, text):
        """Reads its output up to a line that contains this text."""
        for line in self.process.stdout:
            if text in line:
                return
        raise AssertionError(f"it never printed {text!r}: {self.process.stderr.read()[-3000:]}")

    def end(self):
        """Waits for it to end; returns its exit status and the rest of its output."""
        out, error = self.process.communicate(timeout=300)
        return self.process.returncode, out, error


@pytest.fixture(scope="module")
def stopped(world, tmp_path_factory):
    """A run that was asked to stop midway: its folder, workdir, exit status and the rest of its output."""
    folder = tmp_path_factory.mktemp("stopped")
    run = Run(world, folder)
    try:
        run.until(f"step {STOP_AFTER}/{STEPS}")
        run.process.send_signal(signal.SIGINT)
        status, out, error = run.end()
    finally:
        run.process.kill()
    return folder, run.workdir, status, out, error


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_ctrl_c_leaves_a_checkpoint_and_the_same_command_goes_on(call, world, stopped):
    folder, run, status, out, error = stopped
    assert status == 128 + signal.SIGINT
    assert "Stopping after this step; a checkpoint is saved first" in out
    assert "Traceback" not in error
    saved = max(int(path.name) for path in (run / "checkpoints").iterdir())
    assert STOP_AFTER <= saved < STEPS
    assert lines(run / "events.jsonl")[-1]["event"] == "stop"

    again = Run(world, folder)
    try:
        status, out, error = again.end()
    finally:
        again.process.kill()
    assert status == 0, error
    assert [event["step"] for event in lines(run / "events.jsonl") if event["event"] == "start"] == [0, saved]
    metrics = lines(run / "metrics.jsonl")
    assert [line["step"] for line in metrics if "loss" in line] == list(range(5, STEPS + 1, 5))
    assert (run / "checkpoints" / str(STEPS)).is_dir()
    for name in ("loss", "descriptive", "choice", "auxiliary", "examples/s", "left"):
        assert name in out.splitlines()[-2]

    partial = run / "checkpoints" / "999.orbax-checkpoint-tmp"  # as a run still in training would have it
    partial.mkdir()
    status, out, error = call(evaluate, "--local", f"--workdir={run}")
    assert status == 0, error
    assert partial.exists()
    scores = {
        name.removeprefix("validation/"): value for name, value in metrics[-1].items() if name.startswith("validation/")
    }
    assert metrics[-1]["step"] == STEPS
    assert len(scores) == 7
    (written,) = run.glob("validation-*.json")
    record = json.loads(written.read_text())
    assert {"shuffled", "majority"} <= record.pop("controls").keys()
    assert record == {"step": STEPS, "split": "validation"} | scores
    assert f"clevrer, validation split, after {STEPS} steps" in out
    for kind in ("descriptive", "explanatory", "predictive", "counterfactual"):
        row = next(line for line in out.splitlines() if line.startswith(kind)).split()
        assert float(row[2]) == pytest.approx(scores[kind], abs=0.05)
        if kind != "descriptive":
            assert float(row[5]) == pytest.approx(scores[f"{kind}_options"], abs=0.05)


@pytest.mark.slow
def test_a_profile_is_a_trace_that_perfetto_opens(stopped):
    (trace,) = (stopped[1] / "tensorboard").rglob("*.trace.json.gz")
    with gzip.open(trace) as file:
        events = json.load(file)["traceEvents"]
    assert any("shard_step" in str(event) for event in events)
    assert list(trace.parent.glob("*.xplane.pb"))  # what TensorBoard opens


def test_the_split_and_the_settings_of_an_evaluation_are_the_runs_own(call, world, tmp_path):
    resolved = settings(world)
    resolved.workdir = str(tmp_path / "run")
    workdir.claim(resolved)
    status, _, error = call(evaluate, "--local", "--workdir=run", "--config.model.frames=5")
    assert status == 2
    assert "model.frames is 3 there and 5 here" in error
    status, _, error = call(evaluate, "--local", "--workdir=run", f"--data={tmp_path / 'nowhere'}")
    assert status == 2
    assert "nowhere: there is no such data folder" in error
