"""CLEVRER's configurations.

paper        appendix A.3, table (a): 28 layers, 10 heads, batch 256 + 256, 200,000 steps on a v2-32
             (16 TPU v2 chips, 32 devices). Not run here: neither the chips nor the real data are at hand.
quickstart   what `make train` runs: the same program, small enough for two CPU cores and some hundred videos.
"""

from ml_collections import ConfigDict

VARIANTS = ("paper", "quickstart")


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
    config.data.latents = ""  # a latents store; empty: latents/oracle in the root
    config.data.labelled_fraction = 1.0  # of the training videos; smaller fractions are subsets of larger ones

    config.model = ConfigDict()
    config.model.layers = 28
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
    config.model.scan = True
    config.model.remat = False

    config.objective = ConfigDict()
    config.objective.mask = "one_object_per_frame"  # or another of aloe.objectives.make
    config.objective.visible = 7 / 8  # for "uniform": the share that "one_object_per_frame" shows of 8 slots
    config.objective.buffer = 3  # frames, for the masks that predict and infill
    config.objective.loss = "l2"  # or "contrastive", to which the next three belong
    config.objective.negatives = "sequence"
    config.objective.similarity = "dot"
    config.objective.temperature = 1.0
    config.objective.weight = 0.01  # λ

    config.batch = ConfigDict()
    config.batch.descriptive = 128
    config.batch.choice = 128
    config.batch.unsupervised = 256
    config.batch.evaluation = 256
    config.batch.accumulation = 1

    config.optimizer = ConfigDict()
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

    if variant == "quickstart":
        config.model.update(layers=4, heads=4, frames=5, hidden=256, dropout=0.0, dtype="float32", scan=False)
        config.batch.update(descriptive=64, choice=8, unsupervised=16)
        config.optimizer.update(learning_rate=4e-3, warmup_steps=50, decay_steps=480)
        config.training.update(steps=480, log_every=20, evaluate_every=240, checkpoint_every_steps=120)
    return config
