"""ACRE's configurations.

paper       appendix A.3, table (b) with a head of 36, and 60,000 steps: "CATER's settings". The self-supervised batch
            size, which the paper does not give for CATER and ACRE, equals the supervised one. Not run here.
study       the paper's sizes for 10,000 steps on one GPU, without the self-supervised loss, whose gradient at a weight
            of 2 is initially over a thousand times that of the answers. Not run yet.
quickstart  3 layers, no dropout and no auxiliary loss: small enough for two CPU cores and a world of 8 objects, where
            it beats the most common label but stays far below the counts control.

Whatever the paper does not specify for a variant is as in `paper`.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from aloe.training.defaults import defaults

# Overrides of `paper`, by name of the variant.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    "study": {
        "objective.weight": 0.0,
        "optimizer.learning_rate": 1.5e-3,
        "batch.evaluation": 1_000,
        "optimizer.warmup_steps": 1_000,
        "optimizer.decay_steps": 10_000,
        "training.steps": 10_000,
        "training.evaluate_every": 500,
        "training.checkpoint_every_steps": 2_500,
        "training.keep_checkpoints": 1,
    },
    "quickstart": {
        "data.workers": 0,
        "model.layers": 3,
        "model.heads": 2,
        "model.hidden": 256,
        "model.dropout": 0.0,
        "model.dtype": "float32",
        "model.loop": "unrolled",
        "objective.weight": 0.0,
        "batch.query": 32,
        "optimizer.learning_rate": 1.5e-3,
        "optimizer.warmup_steps": 100,
        "optimizer.decay_steps": 3_500,
        "training.steps": 3_000,
        "training.evaluate_every": 1_000,
        "training.checkpoint_every_steps": 1_000,
    },
}


def get_config(variant: str = "paper") -> ConfigDict:
    """The configuration of a variant. Every field is plain data; `--config.path.to.field=value` overrides it."""
    config = defaults("acre", variant)

    config.data.workers = 8  # a step of 512 short examples takes an H200 18 ms

    config.model.layers = 16
    config.model.heads = 8
    config.model.latent = 36
    config.model.frames = 7  # six context panels and a query
    config.model.head_hidden = 36

    config.objective.weight = 2.0

    config.batch.query = 256
    config.batch.unsupervised = 256
    config.batch.evaluation = 256

    config.optimizer.decay_steps = 60_000

    config.training.steps = 60_000
    config.training.evaluate_every = 5_000
    config.training.checkpoint_every_steps = 2_500

    config.update_from_flattened_dict(VARIANTS[variant])
    return config
