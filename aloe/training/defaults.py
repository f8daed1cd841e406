"""Defaults that the configurations of all tasks that train Aloe share; a task's config.py sets what is its own."""

from ml_collections import ConfigDict


def defaults(task: str, variant: str) -> ConfigDict:
    """A configuration with every field that all these tasks have.

    The numbers are those that tables (a) and (b) of the paper's appendix A.3 share, or that the paper leaves open.
    Sizes, batches and steps that a task has to set are 0 here.
    """
    config = ConfigDict()
    config.task = task
    config.variant = variant
    config.seed = 0
    config.workdir = ""
    config.profile = ""  # steps to trace, such as 100:105

    config.data = ConfigDict()
    config.data.root = ""
    config.data.encoder = "oracle"  # which of the latents in the root to use: latents/oracle
    config.data.latents = ""  # the folder of latents stores, if not that one
    config.data.labelled_fraction = 1.0  # of the training videos; smaller fractions are subsets of larger ones
    config.data.workers = 0  # processes per host that make batches; 0 for a thread: a few thousand examples/s

    config.model = ConfigDict()
    config.model.architecture = "transformer"  # or hierarchical, mlp, lstm
    config.model.layers = 0
    config.model.layers_within_frames = 0  # how many of a hierarchical model's layers; 0 for half of them
    config.model.heads = 0
    config.model.latent = 0
    config.model.frames = 0
    config.model.slots = 8
    config.model.hidden = 1024
    config.model.head_hidden = 0
    config.model.relative_form = "bidirectional"
    config.model.mask_token = "zero"
    config.model.dropout = 0.1
    config.model.dtype = "bfloat16"
    config.model.loop = "auto"  # or "scan", "unrolled"
    config.model.remat = False

    config.objective = ConfigDict()
    config.objective.mask = "one_object_per_frame"  # or another scheme of aloe.objectives.make
    config.objective.visible = 7 / 8  # for "uniform": the fraction of 8 slots that "one_object_per_frame" shows
    config.objective.buffer = 3  # frames, for the predict and infill masks
    config.objective.loss = "l2"  # or "contrastive", which the next three configure
    config.objective.negatives = "sequence"
    config.objective.similarity = "dot"
    config.objective.temperature = 1.0
    config.objective.weight = 0.0  # λ; 0 for no self-supervised loss

    config.batch = ConfigDict()  # the task adds its streams and "evaluation"
    config.batch.accumulation = 1

    config.optimizer = ConfigDict()
    config.optimizer.name = "lamb"  # or adam
    config.optimizer.learning_rate = 2e-3
    config.optimizer.warmup_steps = 4_000
    config.optimizer.decay_steps = 0
    config.optimizer.final_learning_rate = 2e-7
    config.optimizer.b1 = 0.9
    config.optimizer.b2 = 0.999
    config.optimizer.epsilon = 1e-6
    config.optimizer.weight_decay = 0.01

    config.training = ConfigDict()
    config.training.steps = 0
    config.training.log_every = 100
    config.training.evaluate_every = 0
    config.training.checkpoint_every_steps = 0
    config.training.checkpoint_every_minutes = 20.0
    config.training.keep_checkpoints = 3
    return config
