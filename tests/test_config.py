"""Configurations resolve, and whatever is wrong with an override is reported, with the nearest name."""

import json

import pytest

from aloe import config
from aloe.errors import InputError


def test_overrides_take_the_type_of_the_field():
    resolved = config.resolve(
        "clevrer",
        "paper",
        {
            "optimizer.learning_rate": "1e-3",
            "optimizer.weight_decay": "0",
            "model.layers": "2",
            "model.remat": "true",
            "model.dtype": "float32",
        },
    )
    assert resolved.optimizer.learning_rate == 1e-3
    assert resolved.optimizer.weight_decay == 0.0
    assert type(resolved.optimizer.weight_decay) is float
    assert (resolved.model.layers, resolved.model.remat, resolved.model.dtype) == (2, True, "float32")
    assert resolved.model.heads == 10


def test_the_papers_settings_are_those_of_table_a():
    resolved = config.resolve("clevrer", "paper", {})
    assert (resolved.model.layers, resolved.model.heads, resolved.model.latent, resolved.model.slots) == (28, 10, 16, 8)
    assert (resolved.model.frames, resolved.model.head_hidden) == (25, 128)
    assert (resolved.batch.descriptive, resolved.batch.choice, resolved.batch.unsupervised) == (128, 128, 256)
    optimizer = resolved.optimizer
    assert (optimizer.learning_rate, optimizer.warmup_steps, optimizer.decay_steps) == (2e-3, 4000, 200_000)
    assert (optimizer.final_learning_rate, optimizer.weight_decay, resolved.objective.weight) == (2e-7, 0.01, 0.01)


@pytest.mark.parametrize(
    ("task", "variant", "overrides", "named"),
    [
        ("clever", "paper", {}, "clevrer"),
        ("clevrer", "papr", {}, "paper"),
        ("clevrer", "paper", {"optimizer.learning_rat": "1"}, "optimizer.learning_rate"),
        ("clevrer", "paper", {"optimizer": "1"}, "no such field"),
        ("clevrer", "paper", {"model.layers": "2.5"}, "int"),
        ("clevrer", "paper", {"model.layers": "two"}, "int"),
        ("clevrer", "paper", {"model.layers": "True"}, "int"),
        ("clevrer", "paper", {"model.remat": "1"}, "bool"),
        ("clevrer", "paper", {"optimizer.learning_rate": "nan("}, "float"),
    ],
)
def test_what_is_wrong_is_named(task, variant, overrides, named):
    with pytest.raises(InputError, match=named):
        config.resolve(task, variant, overrides)


def test_json_gives_the_configuration_back():
    resolved = config.resolve("clevrer", "quickstart", {"seed": "3"})
    assert json.loads(config.to_json(resolved)) == resolved.to_dict()
