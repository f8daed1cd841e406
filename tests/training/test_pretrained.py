"""A run that starts from given parameters: they are restored bit for bit, and no other run is touched."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aloe import config
from aloe.errors import InputError
from aloe.training import workdir
from aloe.training.checkpoints import Checkpoints
from aloe.training.optimizer import make_optimizer
from aloe.training.pretrained import begin_with
from aloe.training.state import abstract_state
from aloe.training.step import data_mesh
from tests.training.toy import Linear, Toy


@pytest.fixture
def settings(tmp_path):
    resolved = config.resolve("clevrer", "quickstart", {})
    resolved.workdir = str(tmp_path / "run")
    return resolved


def drawn(seed):
    params = nnx.to_pure_dict(nnx.state(Linear(nnx.Rngs(seed)), nnx.Param))
    return jax.tree.map(lambda leaf: leaf + jnp.float32(0.1), params)


def restored(settings, tmp_path):
    checkpoints = Checkpoints(tmp_path / "run" / workdir.CHECKPOINTS, data_mesh(), settings.training, read_only=True)
    state = checkpoints.restore(abstract_state(Toy(), make_optimizer(settings.optimizer)))
    checkpoints.close()
    return state


def test_the_parameters_stand_at_step_0_with_a_fresh_optimizer(settings, tmp_path):
    params = drawn(0)
    assert begin_with(settings, params, "somewhere/model.ckpt-7")
    state = restored(settings, tmp_path)
    jax.tree.map(np.testing.assert_array_equal, state.params, params)
    assert int(state.step) == 0
    fresh = make_optimizer(settings.optimizer).init(params)
    jax.tree.map(np.testing.assert_array_equal, state.opt_state, fresh)
    assert workdir.read(tmp_path / "run").to_dict() == settings.to_dict()
    (event,) = map(json.loads, (tmp_path / "run" / workdir.EVENTS).read_text().splitlines())
    assert (event["event"], event["source"]) == ("import", "somewhere/model.ckpt-7")


def test_the_same_again_changes_nothing_and_other_parameters_are_refused(settings, tmp_path):
    begin_with(settings, drawn(0), "a")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert not begin_with(settings, drawn(0), "a")
    with pytest.raises(InputError, match=r"run: holds a run of other parameters, 0 steps long"):
        begin_with(settings, drawn(1), "a")
    settings.model.heads = 10
    with pytest.raises(InputError, match="another configuration"):
        begin_with(settings, drawn(0), "a")
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
