"""CLEVR's configurations.

paper       appendix B: f(A · image), where f is a ResNet of 3 blocks trained jointly and the masks A come from files.
            What the appendix leaves open follows table (a) of appendix A.3, the sizes for CLEVRER; 128 × 128 pixels
            are our choice. Not run here.
superpixels §3.1: a ResNet's last feature map in place of objects, with the sizes of CLEVRER's variant of that name, to
            which it can be transferred.
stored      the same model on latents from an encoder, such as the oracle's.
study       8 layers on stored latents for 10,000 steps, without the self-supervised loss, for one GPU. Not run here.
study_masked_frames
            the same from pixels, with the masked frames of `paper`, for one GPU: a step takes 6.2 GiB on the eight
            cores of a v2-8 together, so 80 GB are enough. Not run here.
quickstart  a small model on stored latents, for two CPU cores and a world of zero-hop questions: with 10,000 images of
            up to 6 objects, over 95 % after its 4,000 steps, about five minutes.

Whatever the paper leaves open about a variant is as in `paper`.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from aloe.training.defaults import defaults

_STUDY: Mapping[str, Any] = {
    "data.workers": 8,
    "model.layers": 8,
    "objective.weight": 0.0,
    "optimizer.learning_rate": 3e-3,
    "optimizer.warmup_steps": 1_000,
    "optimizer.decay_steps": 10_000,
    "training.steps": 10_000,
    "training.evaluate_every": 1_000,
    "training.checkpoint_every_steps": 2_500,
    "training.keep_checkpoints": 1,
}

# By name, the differences from `paper`.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    "superpixels": {
        "perception.kind": "superpixels",
        "perception.size": 64,
        "perception.blocks": 4,
        "perception.width": 32,
        "model.slots": 16,
    },
    "stored": {"perception.kind": "stored"},
    "study": {**_STUDY, "perception.kind": "stored", "batch.evaluation": 1_000},
    "study_masked_frames": _STUDY,
    "quickstart": {
        "perception.kind": "stored",
        "model.layers": 3,
        "model.heads": 4,
        "model.hidden": 256,
        "model.dropout": 0.0,
        "model.dtype": "float32",
        "model.loop": "unrolled",
        "objective.weight": 0.0,
        "batch.question": 64,
        "optimizer.learning_rate": 4e-3,
        "optimizer.warmup_steps": 100,
        "optimizer.decay_steps": 12_000,  # accuracy rises abruptly, while the learning rate is still high
        "training.steps": 4_000,
        "training.evaluate_every": 1_000,
        "training.checkpoint_every_steps": 1_000,
    },
}


def get_config(variant: str = "paper") -> ConfigDict:
    """The configuration of a variant. Every field is plain data; `--config.path.to.field=value` overrides it."""
    config = defaults("clevr", variant)

    config.data.frames = ""  # folder for the decoded images; empty: frames/ in the root
    config.data.frames_per_video = 1  # an image is a video of one frame
    config.data.masks = "exact"  # source of the masks, of those written by launch/masks.py, for masked_frames

    config.perception = ConfigDict()
    config.perception.kind = "masked_frames"  # or stored latents, superpixels
    config.perception.size = 128  # rows and columns of an image
    config.perception.blocks = 3  # ResNet blocks, two convolutions each
    config.perception.width = 16  # channels of the first block; each further block doubles them
    config.perception.pretrained = ""  # workdir of a run to take the perception from

    config.model.layers = 28
    config.model.heads = 10
    config.model.latent = 16
    config.model.frames = 1
    config.model.slots = 10  # the maximum number of objects in an image
    config.model.head_hidden = 128

    config.objective.weight = 0.01

    config.batch.question = 256
    config.batch.unsupervised = 256
    config.batch.evaluation = 256

    config.optimizer.decay_steps = 200_000

    config.training.steps = 200_000
    config.training.evaluate_every = 10_000
    config.training.checkpoint_every_steps = 5_000

    config.update_from_flattened_dict(VARIANTS[variant])
    return config
