"""LAMB as its paper has it, layer by layer, and the paper's schedule."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aloe import config
from aloe.training.optimizer import lamb, learning_rate, scaled


@pytest.fixture
def settings():
    return config.resolve(
        "clevrer", "paper", {"optimizer.warmup_steps": "10", "optimizer.decay_steps": "110"}
    ).optimizer


def layer(seed):
    rng = np.random.default_rng(seed)
    return {
        "kernel": jnp.asarray(rng.normal(size=(5, 4)) * 10.0 ** rng.integers(-2, 2), jnp.float32),
        "bias": jnp.asarray(rng.normal(size=4), jnp.float32),
    }


def stacked(layers):
    return {"tower": {"blocks": jax.tree.map(lambda *leaves: jnp.stack(leaves), *layers)}}


def updates(optimizer, params, gradients):
    state = optimizer.init(params)
    for gradient in gradients:
        step, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, step)
    return params


def test_stacked_layers_move_as_layers_of_their_own_do(settings):
    layers = [layer(seed) for seed in range(3)]
    gradients = [[layer(10 * seed + step) for seed in range(3)] for step in (1, 2)]
    together = updates(lamb(settings), stacked(layers), [stacked(each) for each in gradients])
    for place in range(3):
        alone = updates(lamb(settings), {"alone": layers[place]}, [{"alone": each[place]} for each in gradients])
        jax.tree.map(
            lambda a, b, place=place: np.testing.assert_allclose(a[place], b, rtol=1e-6),
            together["tower"]["blocks"],
            alone["alone"],
        )


def test_one_step_by_hand(settings):
    """LAMB, algorithm 2: Adam's ratio plus decay, scaled to the parameter's norm; biases take Adam's ratio alone."""
    params, gradient = {"alone": layer(0)}, {"alone": layer(1)}
    rate = float(learning_rate(settings)(1))
    moved = updates(lamb(settings), params, [gradient, gradient])["alone"]

    def adam(g, step):  # equal gradients: both moments are the gradient's own after bias correction
        return g / (np.abs(g) + settings.epsilon)

    kernel, bias = np.asarray(params["alone"]["kernel"]), np.asarray(params["alone"]["bias"])
    ratio = adam(np.asarray(gradient["alone"]["kernel"]), 1) + settings.weight_decay * kernel
    expected = kernel - rate * np.linalg.norm(kernel) / np.linalg.norm(ratio) * ratio
    np.testing.assert_allclose(moved["kernel"], expected, rtol=1e-5)
    np.testing.assert_allclose(moved["bias"], bias - rate * adam(np.asarray(gradient["alone"]["bias"]), 1), rtol=1e-5)


def test_the_rate_warms_up_and_decays_to_its_end(settings):
    rates = [float(learning_rate(settings)(step)) for step in (0, 5, 10, 60, 110, 200)]
    np.testing.assert_allclose(rates, [0, 1e-3, 2e-3, (2e-3 + 2e-7) / 2, 2e-7, 2e-7], rtol=1e-5, atol=1e-12)


def test_which_parameters_decay():
    names = ["kernel", "embedding", "bias", "content_bias", "position_bias", "scale", "cls", "mask"]
    assert {name for name, chosen in scaled(dict.fromkeys(names, 0)).items() if chosen} == {"kernel", "embedding"}
