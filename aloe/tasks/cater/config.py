"""CATER's configurations.

paper         appendix A.3, table (b): 16 layers of 8 heads, 80 frames, 256 videos per batch, half from each camera.
              The self-supervised batch, whose size the paper does not give here, is as large. Not run here.
l1            with the L1 loss of table 2, whose weight the paper does not give.
no_auxiliary  without the self-supervised loss (figure 3).
study         the paper's sizes for 10,000 steps on one GPU, but 40 frames; with the L1 loss, and without the
              self-supervised one, whose gradient at a weight of 2 is initially thousands of times that of the answers.
              Not run yet.
quickstart    2 layers and 12 frames, with the L1 loss: small enough for two CPU cores. On a world of 10,000 videos of 5
              objects, over 70 % top-1 after its 3,000 steps, about four minutes; from 3,000 videos it learns less.

Whatever the paper does not specify for a variant is as in `paper`.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from aloe.training.defaults import defaults

# Overrides of `paper`, by name of the variant.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    "l1": {"loss.distance": 1.0},
    "no_auxiliary": {"objective.weight": 0.0},
    "study": {
        "data.workers": 8,
        "model.frames": 40,
        "objective.weight": 0.0,
        "loss.distance": 1.0,
        "batch.static": 64,
        "batch.moving": 64,
        "batch.unsupervised": 64,
        "optimizer.warmup_steps": 1_000,
        "optimizer.decay_steps": 10_000,
        "training.steps": 10_000,
        "training.evaluate_every": 1_000,
        "training.checkpoint_every_steps": 2_500,
        "training.keep_checkpoints": 1,
    },
    "quickstart": {
        "model.layers": 2,
        "model.heads": 2,
        "model.hidden": 256,
        "model.frames": 12,
        "model.dropout": 0.0,
        "model.dtype": "float32",
        "model.loop": "unrolled",
        "objective.weight": 0.0,
        "loss.distance": 1.0,
        "batch.static": 16,
        "batch.moving": 16,
        "optimizer.learning_rate": 1.5e-3,
        "optimizer.warmup_steps": 100,
        "optimizer.decay_steps": 3_000,
        "training.steps": 3_000,
        "training.evaluate_every": 1_000,
        "training.checkpoint_every_steps": 1_000,
    },
}


def get_config(variant: str = "paper") -> ConfigDict:
    """The configuration of a variant. Every field is plain data; `--config.path.to.field=value` overrides it."""
    config = defaults("cater", variant)

    config.data.cameras = "both"  # or static, moving
    config.data.tuning = False  # whether to train on train_subsetT and validate on train_subsetV

    config.model.layers = 16
    config.model.heads = 8
    config.model.latent = 36
    config.model.frames = 80
    config.model.head_hidden = 144

    config.objective.weight = 2.0
    config.loss = ConfigDict()
    config.loss.distance = 0.0  # weight of the L1 loss: the model's expected distance in cells from the right one

    config.batch.static = 128
    config.batch.moving = 128
    config.batch.unsupervised = 256
    config.batch.evaluation = 128

    config.optimizer.decay_steps = 50_000

    config.training.steps = 50_000
    config.training.evaluate_every = 5_000
    config.training.checkpoint_every_steps = 2_500

    config.update_from_flattened_dict(VARIANTS[variant])
    return config
