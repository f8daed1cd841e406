"""CLEVRER's configurations.

paper         appendix A.3, table (a): 28 layers, 10 heads, batch 256 + 256, 200,000 steps on a v2-32
              (16 TPU v2 chips, 32 devices). Not run here: neither the chips nor the real data are available.
hierarchical  table 1: attention within frames, then between frames, in place of attention between all objects.
mlp           table 1: four fully connected layers in place of self-attention.
no_auxiliary  table 1: no self-supervised loss, and so no unsupervised batch.
lstm          footnote 1: a bidirectional LSTM, here with as many parameters as the transformer.
adam          appendix A.3: Adam in place of LAMB.
superpixels   table 1: the last feature map of a ResNet, trained jointly, in place of objects. The paper gives neither
              its size nor that of the map: here four blocks and 4 × 4 superpixels.
masked_frames appendix B: f(A · image), with f a jointly trained ResNet of 3 blocks, and masks A from files.
released      the authors' released model and latents, as launch/import_released.py reads them.
study         8 layers, to check on one or two GPUs, with a world of our own, that each type of question is learned.
quickstart    what `make train` runs: the same program, small enough for two CPU cores and a few hundred videos.

Whatever the paper does not specify for a variant is as in `paper`.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from aloe.training.defaults import defaults

# Overrides of `paper`, by variant.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    "hierarchical": {"model.architecture": "hierarchical"},
    "mlp": {"model.architecture": "mlp", "model.layers": 4, "model.hidden": 2048},
    "no_auxiliary": {"objective.weight": 0.0},
    "lstm": {"model.architecture": "lstm", "model.layers": 3, "model.hidden": 512},
    "adam": {
        "optimizer.name": "adam",
        # Here Adam moves a weight matrix of the initial scale, 0.05, as far as LAMB does at 2e-3. The paper gives none.
        "optimizer.learning_rate": 1e-4,
        "optimizer.final_learning_rate": 1e-8,
    },
    "superpixels": {
        "perception.kind": "superpixels",
        "perception.blocks": 4,
        "perception.width": 32,
        "model.slots": 16,
    },
    "masked_frames": {"perception.kind": "masked_frames"},
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
        "data.frames_per_video": 10,  # which two CPU cores encode in a minute
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

# By variant, where the paper gives it (§3.1).
PAPER_PARAMETERS = {"paper": "15 M", "no_auxiliary": "15 M", "adam": "15 M", "mlp": "20 M"}


def get_config(variant: str = "paper") -> ConfigDict:
    """The configuration of a variant. Every field is plain data; `--config.path.to.field=value` overrides it."""
    config = defaults("clevrer", variant)

    config.data.frames = ""  # folder for the decoded frames; if empty, frames/ in the root
    config.data.frames_per_video = 128  # evenly spaced; the model's frames are drawn from them
    config.data.masks = "exact"  # source of the masks that launch/masks.py wrote, for masked_frames

    config.perception = ConfigDict()
    config.perception.kind = "stored"  # latents made by an encoder; or superpixels, masked_frames
    config.perception.size = 64  # rows and columns of a frame
    config.perception.blocks = 3  # of the ResNet, with two convolutions each
    config.perception.width = 16  # channels of the first block, doubled in each further one
    config.perception.pretrained = ""  # workdir of the run whose perception this one starts from

    config.model.layers = 28
    config.model.heads = 10
    config.model.latent = 16
    config.model.frames = 25
    config.model.head_hidden = 128

    config.objective.weight = 0.01

    config.batch.descriptive = 128
    config.batch.choice = 128
    config.batch.unsupervised = 256
    config.batch.evaluation = 256

    config.optimizer.decay_steps = 200_000

    config.training.steps = 200_000
    config.training.evaluate_every = 10_000
    config.training.checkpoint_every_steps = 5_000

    config.update_from_flattened_dict(VARIANTS[variant])
    return config
