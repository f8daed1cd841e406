"""MONet's configurations.

paper       arXiv 1901.11390, appendix B, with Aloe's 8 slots and its 16 latents for CLEVRER: batch 64, RMSProp at 1e-4
            without decay, frames of 64 × 64. Sizes are the paper's; the number of steps is ours.
latent36    the same with the 36 latents of CATER and ACRE.
worlds      the paper's sizes on a short schedule, for worlds of small videos: 60,000 steps at a higher learning rate,
            log scopes no lower than −6. The shipped weights use it (aloe/perception/monet/shipped), and two CPU cores
            encode 110 frames per second.
small       half as wide, and twice as fast there; 45,000 steps.
quickstart  32 × 32 and narrow: the same program, small enough to train on two CPU cores. It only shows that everything
            works.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

_SHORT: Mapping[str, Any] = {
    "model.log_floor": -6.0,
    "optimizer.warmup_steps": 500,
    "optimizer.decay_steps": 45_000,
    "optimizer.final_learning_rate": 5e-5,
    "training.evaluate_every": 3_000,
    "training.checkpoint_every_steps": 3_000,
    "training.keep_checkpoints": 1,
}

# Overrides of `paper`, by name of the variant.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    "latent36": {"model.latent": 36},
    "worlds": {**_SHORT, "optimizer.learning_rate": 4e-4, "training.steps": 60_000},
    "small": {
        **_SHORT,
        "model.attention_width": 16,
        "model.component_width": 16,
        "model.component_hidden": 128,
        "optimizer.learning_rate": 6e-4,
        "training.steps": 45_000,
    },
    "quickstart": {
        "data.frames_per_video": 8,
        "data.evaluation_frames": 64,
        "model.size": 32,
        "model.attention_width": 8,
        "model.attention_hidden": 32,
        "model.component_width": 8,
        "model.component_hidden": 64,
        "model.dtype": "float32",
        "batch.frames": 16,
        "batch.evaluation": 16,
        "optimizer.learning_rate": 1e-3,
        "optimizer.final_learning_rate": 1e-3,
        "training.steps": 2_000,
        "training.log_every": 50,
        "training.evaluate_every": 500,
        "training.checkpoint_every_steps": 500,
    },
}


def get_config(variant: str = "paper") -> ConfigDict:
    """The configuration of a variant. Every field is plain data; `--config.path.to.field=value` overrides it."""
    config = ConfigDict()
    config.task = "monet"
    config.variant = variant
    config.seed = 0
    config.workdir = ""
    config.profile = ""  # steps to trace, such as 100:105

    config.data = ConfigDict()
    config.data.root = ""
    config.data.source = "clevrer"  # the task whose file layout the videos have
    config.data.frames = ""  # folder for the decoded frames; empty: `frames` in the root
    config.data.frames_per_video = 32  # evenly spaced; neighbours are nearly identical
    config.data.evaluation_frames = 512  # of the split, evenly spaced
    config.data.workers = 0  # processes per host that make batches; 0 for a thread: some ten thousand frames/s

    config.model = ConfigDict()
    config.model.size = 64
    config.model.slots = 8
    config.model.latent = 16
    config.model.attention_width = 32
    config.model.attention_hidden = 128
    config.model.component_width = 32
    config.model.component_hidden = 256
    config.model.dtype = "bfloat16"
    config.model.log_floor = 0.0

    config.loss = ConfigDict()
    config.loss.beta = 0.5  # weight of the latent divergence
    config.loss.gamma = 0.5  # weight of the mask divergence
    config.loss.background_sigma = 0.09
    config.loss.foreground_sigma = 0.11

    config.batch = ConfigDict()
    config.batch.frames = 64
    config.batch.evaluation = 128
    config.batch.accumulation = 1

    config.optimizer = ConfigDict()
    config.optimizer.name = "rmsprop"
    config.optimizer.learning_rate = 1e-4
    config.optimizer.warmup_steps = 0
    config.optimizer.decay_steps = 300_000
    config.optimizer.final_learning_rate = 1e-4  # no decay
    config.optimizer.decay = 0.9  # of the mean square; this and epsilon are the defaults of TensorFlow 1
    config.optimizer.epsilon = 1e-10
    config.optimizer.b1 = 0.9  # this and the next two are only for --config.optimizer.name=adam and lamb
    config.optimizer.b2 = 0.999
    config.optimizer.weight_decay = 0.0

    config.training = ConfigDict()
    config.training.steps = 300_000
    config.training.log_every = 100
    config.training.evaluate_every = 5_000
    config.training.checkpoint_every_steps = 5_000
    config.training.checkpoint_every_minutes = 20.0
    config.training.keep_checkpoints = 3

    config.update_from_flattened_dict(VARIANTS[variant])
    return config
