"""CLEVRER's configurations.

paper         appendix A.3, table (a): 28 layers, 10 heads, batch 256 + 256, 200,000 steps on a v2-32
              (16 TPU v2 chips, 32 devices). Not run here: neither the chips nor the real data are at hand.
hierarchical  table 1: attention within frames, then between frames, in place of attention between all objects.
mlp           table 1: four fully connected layers in place of self-attention.
no_auxiliary  table 1: no self-supervised loss, and so no unsupervised batch.
lstm          footnote 1: a bidirectional LSTM, here with as many parameters as the transformer.
adam          appendix A.3: Adam in place of LAMB.
released      the authors' released model and latents, as launch/import_released.py reads them.
study         8 layers, to see on one or two GPUs and a world of our own that each type of question is learned.
quickstart    what `make train` runs: the same program, small enough for two CPU cores and some hundred videos.

What the paper does not say of a variant is as in `paper`.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

# By name, what is not as in `paper`.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    "hierarchical": {"model.architecture": "hierarchical"},
    "mlp": {"model.architecture": "mlp", "model.layers": 4, "model.hidden": 2048},
    "no_auxiliary": {"objective.weight": 0.0},
    "lstm": {"model.architecture": "lstm", "model.layers": 3, "model.hidden": 512},
    "adam": {
        "optimizer.name": "adam",
        # Here Adam moves a weight matrix of the initial scale, 0.05, as far as LAMB does at 2e-3. The paper is silent.
        "optimizer.learning_rate": 1e-4,
        "optimizer.final_learning_rate": 1e-8,
    },
    "released": {
        "data.encoder": "released",
        "model.relative_form": "released",
        "model.mask_token": "learned",
        "model.dtype": "float32",
        "objective.weight": 0.0,  # the map f of the auxiliary loss is not among the released weights
    },
    "study": {
        "data.workers": 8,
        "model.layers": 8,
        "batch.choice": 64,
        "batch.unsupervised": 64,
        "batch.evaluation": 512,
        "optimizer.learning_rate": 3e-3,
        "optimizer.warmup_steps": 2_000,
        "optimizer.decay_steps": 36_000,
        "training.steps": 36_000,
        "training.evaluate_every": 4_000,
        "training.keep_checkpoints": 1,
    },
    "quickstart": {
        "model.layers": 4,
        "model.heads": 4,
        "model.frames": 5,
        "model.hidden": 256,
        "model.dropout": 0.0,
        "model.dtype": "float32",
        "model.loop": "unrolled",
        "batch.descriptive": 64,
        "batch.choice": 8,
        "batch.unsupervised": 16,
        "optimizer.learning_rate": 4e-3,
        "optimizer.warmup_steps": 50,
        "optimizer.decay_steps": 480,
        "training.steps": 480,
        "training.log_every": 20,
        "training.evaluate_every": 240,
        "training.checkpoint_every_steps": 120,
    },
}

# By variant, where the paper tells (§3.1).
PAPER_PARAMETERS = {"paper": "15 M", "no_auxiliary": "15 M", "adam": "15 M", "mlp": "20 M"}


def get_config(variant: str = "paper") -> ConfigDict:
    """The configuration of a variant. Every field is plain data; `--config.path.to.field=value` overrides it."""
    config = ConfigDict()
    config.task = "clevrer"
    config.variant = variant
    config.seed = 0
    config.workdir = ""
    config.profile = ""  # steps to trace, such as 100:105

    config.data = ConfigDict()
    config.data.root = ""
    config.data.encoder = "oracle"  # whose latents, of those in the root: latents/oracle
    config.data.latents = ""  # the folder of latents stores, where it is not that one
    config.data.labelled_fraction = 1.0  # of the training videos; smaller fractions are subsets of larger ones

    config.data.workers = 0  # processes a host that make batches; 0 for a thread: some thousand examples a second

    config.model = ConfigDict()
    config.model.architecture = "transformer"  # or hierarchical, mlp, lstm
    config.model.layers = 28
    config.model.layers_within_frames = 0  # of a hierarchical model's layers; 0 for half of them
    config.model.heads = 10
    config.model.latent = 16
    config.model.frames = 25
    config.model.slots = 8
    config.model.hidden = 1024
    config.model.head_hidden = 128
    config.model.relative_form = "bidirectional"
    config.model.mask_token = "zero"
    config.model.dropout = 0.1
    config.model.dtype = "bfloat16"
    config.model.loop = "auto"  # or "scan", "unrolled"
    config.model.remat = False

    config.objective = ConfigDict()
    config.objective.mask = "one_object_per_frame"  # or another of aloe.objectives.make
    config.objective.visible = 7 / 8  # for "uniform": the share that "one_object_per_frame" shows of 8 slots
    config.objective.buffer = 3  # frames, for the masks that predict and infill
    config.objective.loss = "l2"  # or "contrastive", to which the next three belong
    config.objective.negatives = "sequence"
    config.objective.similarity = "dot"
    config.objective.temperature = 1.0
    config.objective.weight = 0.01  # λ; 0 for no self-supervised loss

    config.batch = ConfigDict()
    config.batch.descriptive = 128
    config.batch.choice = 128
    config.batch.unsupervised = 256
    config.batch.evaluation = 256
    config.batch.accumulation = 1

    config.optimizer = ConfigDict()
    config.optimizer.name = "lamb"  # or adam
    config.optimizer.learning_rate = 2e-3
    config.optimizer.warmup_steps = 4_000
    config.optimizer.decay_steps = 200_000
    config.optimizer.final_learning_rate = 2e-7
    config.optimizer.b1 = 0.9
    config.optimizer.b2 = 0.999
    config.optimizer.epsilon = 1e-6
    config.optimizer.weight_decay = 0.01

    config.training = ConfigDict()
    config.training.steps = 200_000
    config.training.log_every = 100
    config.training.evaluate_every = 10_000
    config.training.checkpoint_every_steps = 5_000
    config.training.checkpoint_every_minutes = 20.0
    config.training.keep_checkpoints = 3

    config.update_from_flattened_dict(VARIANTS[variant])
    return config
