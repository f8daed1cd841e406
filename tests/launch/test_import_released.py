"""The whole path from the authors' release to a table, through the commands that a user runs."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from aloe.data import latents
from aloe.model import released
from aloe.tasks.clevrer import task as clevrer
from aloe.tasks.clevrer import vocabulary
from aloe.training import workdir
from aloe.training.checkpoints import Checkpoints
from aloe.training.optimizer import make_optimizer
from aloe.training.state import abstract_state
from aloe.training.step import data_mesh
from launch import evaluate, import_released
from tests.model.golden import CONFIG, GOLDEN, draw_case
from tests.model.tensorflow_writer import write_checkpoint
from tests.tasks.clevrer.encoded import questions
from tests.tasks.clevrer.writer import entry, write_json

ROOT = Path(__file__).parents[2]
SPLITS = {"train": range(4), "validation": range(10_000, 10_003)}
SIZES = [f"--config.model.{size}={getattr(CONFIG, size)}" for size in ("layers", "heads", "frames")]


def latents_of(scene_index):
    return np.random.default_rng(scene_index).standard_normal((128, 8, 16)).astype(np.float32)


def write_latents(path, scene_index):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:  # plain npy content, despite the name
        np.save(file, latents_of(scene_index))


@pytest.fixture
def data(tmp_path):
    for split, indices in SPLITS.items():
        write_json(tmp_path / "data" / f"{split}.json", [entry(index, questions(index)) for index in indices])
    return tmp_path / "data"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "clevrer_monet_latents"
    for split, inside in (("train", "train"), ("validation", "valid")):
        for index in SPLITS[split]:
            write_latents(folder / inside / f"{index}.npz", index)
    write_json(folder / "vocab.json", {"question_vocab": vocabulary.WORD_IDS, "answer_vocab": vocabulary.ANSWER_IDS})
    return folder


@pytest.fixture(scope="module")
def variables():
    return draw_case()[0]


@pytest.fixture
def read(monkeypatch, variables):
    """Stands in for TensorFlow; returns the variables that it would read."""
    content = dict(variables)
    monkeypatch.setattr(import_released, "read_variables", lambda path: content)
    monkeypatch.setattr(import_released, "located", lambda folder: folder / "model.ckpt-7")
    return content


def assert_scored(call, run):
    """The checkpoint in a workdir reproduces the released logits, and `evaluate` scores the validation split."""
    config = workdir.read(run)
    task = clevrer.make(config)
    checkpoints = Checkpoints(run / workdir.CHECKPOINTS, data_mesh(), config.training, read_only=True)
    params = checkpoints.restore(abstract_state(task, make_optimizer(config.optimizer))).params
    checkpoints.close()
    figures = released.forward(params, task.model_config, *draw_case()[1:])
    for logits, name in zip(figures, ("logits_descriptive", "logits_mc"), strict=True):
        wanted = np.array(GOLDEN[name])
        assert np.abs(np.asarray(logits) - wanted).max() < 1e-5 * np.abs(wanted).max()

    status, out, error = call(evaluate, "--local", f"--workdir={run}")
    assert not status, error
    assert "clevrer, validation split, after 0 steps" in out
    scores = json.loads((run / "validation-0.json").read_text())
    assert {"descriptive", "explanatory", "predictive", "counterfactual"} <= scores.keys()


def test_from_the_folder_to_a_table(call, data, folder, read, tmp_path):
    command = [f"--data={data}", f"--released={folder}", *SIZES]
    status, out, error = call(import_released, *command)
    assert not status, error
    for name in read:
        assert f"\n{name} " in out
    for split, indices in SPLITS.items():
        store = latents.open(data / "latents" / "released" / split)
        assert f"{store.path}: {len(indices)} videos" in out
        assert store.encoder["name"] == "released"
        for index in indices:
            np.testing.assert_array_equal(store.read(index), latents_of(index))
    run = tmp_path / "runs" / "clevrer-released-s0"
    assert_scored(call, run)

    status, out, error = call(import_released, *command)
    assert not status, error
    assert "already a run of these weights" in out


def test_from_a_checkpoint_of_tensorflow(call, data, folder, variables):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: make released")
    more = {"global_step": np.int64(7), "beta1_power": np.float32(0.9)}
    checkpoint = write_checkpoint(folder / "checkpoints", variables | more)
    run = data / "run"
    command = [f"--data={data}", f"--released={folder}", f"--workdir={run}", *SIZES]
    status, _, error = call(import_released, *command)
    assert status == 2
    assert error.startswith(f"error: {checkpoint}: the variables do not make a model")
    assert error.endswith("\n  beta1_power of shape () is left over\n")
    assert not run.exists()
    assert not (data / "latents").exists()
    status, _, error = call(import_released, *command, "--pass_over=beta*_power")
    assert not status, error
    (event,) = map(json.loads, (run / workdir.EVENTS).read_text().splitlines())
    assert event["source"] == str(checkpoint)
    assert_scored(call, run)


def test_latents_alone_need_no_checkpoint_and_weights_alone_no_latents(call, data, folder, read, tmp_path, monkeypatch):
    command = [f"--data={data}", f"--released={folder}", f"--workdir={tmp_path / 'run'}", *SIZES]
    assert call(import_released, *command, "--only=weights")[0] is None
    assert (tmp_path / "run").is_dir()
    assert not (data / "latents").exists()

    monkeypatch.setattr(import_released, "read_variables", None)
    command = [f"--data={data}", f"--released={folder}", f"--workdir={tmp_path / 'other'}"]
    assert call(import_released, *command, "--only=latents", f"--config.data.latents={tmp_path / 'stores'}")[0] is None
    assert not (tmp_path / "other").exists()
    assert not (data / "latents").exists()
    assert sorted(path.name for path in (tmp_path / "stores").iterdir()) == ["train", "validation"]


def test_bad_input_stops_before_anything_is_written(call, data, folder, read, tmp_path):
    def refused(*more, released=folder):
        run = tmp_path / "run"
        status, _, error = call(
            import_released, f"--data={data}", f"--released={released}", f"--workdir={run}", *SIZES, *more
        )
        assert status == 2
        assert not (data / "latents").exists()
        return error

    assert "--released=nowhere: there is no such folder" in refused(released="nowhere")
    assert "no split 'valid'" in refused("--splits=valid", "--only=latents")
    left_over = refused("--config.model.layers=1")
    assert f"{folder / 'checkpoints' / 'model.ckpt-7'}: the variables do not make a model of 1 layers" in left_over
    assert "(--pass_over=" in left_over
    assert "transformer_tower/layer_1/mlp/linear_0/b of shape (1024,) is left over" in left_over
    assert "transformer_tower/layer_2/mlp/linear_0/b is missing; it is our tower/blocks/mlp/expand/bias[2]" in refused(
        "--config.model.layers=3"
    )
    write_json(folder / "vocab.json", {"question_vocab": {}, "answer_vocab": vocabulary.ANSWER_IDS})
    assert "vocab.json: field 'question_vocab': 81 words" in refused()
    (folder / "vocab.json").unlink()
    for index in SPLITS["validation"]:
        (folder / "valid" / f"{index}.npz").unlink()
    assert f"{folder}: none of the 3 videos" in refused()
    assert not (tmp_path / "run").exists()


def test_after_a_kill_the_same_command_goes_on(data, folder, tmp_path, monkeypatch):
    """Of 140 videos, two per file, 66 files are written when the import reaches a video that blocks it."""
    count, stop = 140, 133
    write_json(data / "train.json", [entry(index, []) for index in range(count)])
    for index in range(count):
        write_latents(folder / "train" / f"{index}.npz", index)
    waiting = folder / "train" / f"{stop}.npz"
    waiting.unlink()
    os.mkfifo(waiting)
    command = [
        sys.executable,
        str(ROOT / "launch" / "import_released.py"),
        *("--task=clevrer", f"--data={data}", f"--released={folder}", "--only=latents", "--splits=train"),
    ]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)
    held: list[int] = []
    # Blocks until the import opens the pipe too; kept open, so that the import waits for data that never comes.
    opens = threading.Thread(target=lambda: held.append(os.open(waiting, os.O_WRONLY)), daemon=True)
    opens.start()
    opens.join(timeout=60)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    os.close(held[0])

    store = latents.open(data / "latents" / "released" / "train")
    assert store.missing().tolist() == list(range(132, count))
    waiting.unlink()
    write_latents(waiting, stop)
    import_released.main(command[2:])
    store = latents.open(store.path)
    for index in range(count):
        np.testing.assert_array_equal(store.read(index), latents_of(index))
