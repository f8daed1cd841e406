"""How the optimizer is timed, and how large a batch the step is tried with."""

import types

import jax
import jax.numpy as jnp
import optax
import pytest

from benchmarks import step
from benchmarks.options import Options
from benchmarks.paths import CHOSEN
from benchmarks.training import with_data


def test_the_optimizer_is_timed_on_a_gradient_that_the_compiler_does_not_know(monkeypatch):
    traced = []

    def update(grads, state, params=None):
        traced.append(isinstance(grads["w"], jax.core.Tracer))
        return grads, state

    def call_once(call, repeats):
        return call()

    monkeypatch.setattr(step, "measure", call_once)
    params = {"w": jnp.zeros(100), "b": jnp.zeros((3, 5))}
    run = types.SimpleNamespace(
        fresh_state=lambda: types.SimpleNamespace(params=params, opt_state=()),
        optimizer=optax.GradientTransformation(lambda params: (), update),
    )
    after, _ = step.optimizer_time(run, repeats=2)
    assert traced == [True]
    assert len(set(after["w"].tolist())) == 100, "a gradient of equal numbers is one that no training has"


@pytest.fixture
def tried(monkeypatch):
    """Layers and batch of each program that would be compiled; nothing is."""
    found = []

    def make_run(config, devices):
        step.model_config(config)  # which raises an error if there is no such model
        run = types.SimpleNamespace(config=config)
        run.lowered = lambda: types.SimpleNamespace(compile=lambda: config.model.layers)
        found.append((config.model.layers, config.batch.descriptive))
        return run

    def cost(layers):
        return types.SimpleNamespace(total_bytes=100 + 10 * layers)

    monkeypatch.setattr(step, "make_run", make_run)
    monkeypatch.setattr(step, "cost", cost)
    monkeypatch.setattr(step, "room", lambda device: 200)
    monkeypatch.setattr(step, "largest_that_fits", lambda compile_for, largest, limit: (largest, compile_for(largest)))
    return found


@pytest.mark.parametrize(("variant", "within"), [("paper", "0"), ("hierarchical", "0"), ("hierarchical", "15")])
def test_a_doubtful_case_is_judged_by_layers_that_the_architecture_can_have(tmp_path, tried, variant, within):
    overrides = {"model.layers": "20", "model.layers_within_frames": within}
    config = Options(quick=True, variant=variant, overrides=overrides).config()
    step.fitting(with_data(config, tmp_path), jax.devices()[0], CHOSEN, True, doubtful=True)
    # 2 layers take 120 and 4 take 140, so 20 would take 300 with the whole batch and 150 with half of it.
    assert tried == [(2, 8), (4, 8), (20, 4)]
