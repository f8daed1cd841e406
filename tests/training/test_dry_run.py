"""The paper's number of parameters beside ours. The whole output of a dry run is in tests/launch/test_train.py."""

import jax
import jax.numpy as jnp
import pytest

from aloe import config
from aloe.training.dry_run import parameters_beside_paper

PARAMS = {
    "tower": {"kernel": jax.ShapeDtypeStruct((2000, 1000), jnp.float32)},
    "heads": {"a": jax.ShapeDtypeStruct((30_000,), jnp.float32), "b": jax.ShapeDtypeStruct((10_000,), jnp.float32)},
}


@pytest.mark.parametrize(
    ("variant", "told"), [("paper", "15 M"), ("mlp", "20 M"), ("adam", "15 M"), ("lstm", "no number")]
)
def test_parameters_by_part_stand_beside_the_papers(variant, told):
    line = parameters_beside_paper(config.resolve("clevrer", variant, {}), PARAMS)
    assert line == f"2.04 M (heads 0.04 M, tower 2.00 M); the paper gives {told} for {variant!r}."
