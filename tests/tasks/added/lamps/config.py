from ml_collections import ConfigDict

from aloe.training.defaults import defaults

VARIANTS = ("paper",)


def get_config(variant: str = "paper") -> ConfigDict:
    config = defaults("lamps", variant)
    config.model.layers, config.model.heads, config.model.hidden, config.model.head_hidden = 1, 2, 16, 8
    config.model.frames, config.model.slots, config.model.latent = 2, 3, 4
    config.model.dtype = "float32"
    config.batch.question = config.batch.evaluation = 8
    config.optimizer.decay_steps = config.training.steps = 4
    config.training.log_every = 1
    config.training.evaluate_every = config.training.checkpoint_every_steps = 2
    return config
