"""Training by the command: on squares, a small MONet learns to beat the best reconstruction in one colour."""

import json

import numpy as np
import pytest

from aloe.data.frames import FrameStore
from aloe.training import workdir
from tests.commands import launch
from tests.tasks.monet.squares import flags, write_squares

STEPS = 600


def one_color_loss(images, sigma=0.11):
    """−log p, in nats per frame, of frames reconstructed as their own mean colour: the best that one colour can do.

    Latents and masks are taken to cost nothing.
    """
    squared = ((images - images.mean(axis=(1, 2), keepdims=True)) ** 2).sum((1, 2, 3)).mean()
    values = images[0].size
    return 0.5 * squared / sigma**2 + values * np.log(sigma * np.sqrt(2 * np.pi))


@pytest.mark.slow
def test_a_small_monet_learns_squares(tmp_path):
    root = write_squares(tmp_path / "squares", train=8)
    rate = {"optimizer.learning_rate": 2e-3, "optimizer.final_learning_rate": 2e-3}
    training = {"steps": STEPS, "log_every": 50, "evaluate_every": STEPS}
    settings = rate | {f"training.{name}": value for name, value in training.items()}
    where = (f"--data={root}", f"--workdir={tmp_path / 'run'}")
    launch("train.py", "--task=monet", "--local", *where, *flags(settings))
    lines = [json.loads(line) for line in (tmp_path / "run" / workdir.METRICS).read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    index = json.loads((root / "frames" / "16x16-64" / "validation_frames.json").read_text())
    path = root / "frames" / "16x16-64" / "validation_frames.npy"
    store = FrameStore(path, index["scene_indices"], index["frame_numbers"])
    baseline = one_color_loss(np.stack(list(store)) / 255.0)
    assert losses[0] > baseline  # initially it is no better
    last = lines[-1]
    assert last["diagnosis/loss"] < baseline - 200
    assert last["validation/explained"] > 30
    assert last["diagnosis/slots_used"] > 1.5
