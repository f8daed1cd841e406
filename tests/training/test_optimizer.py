"""LAMB as in its paper, layer by layer; Adam in place of it; the paper's schedule."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aloe import config
from aloe.errors import InputError
from aloe.training.optimizer import adam, decayed, lamb, learning_rate, make_optimizer


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
    """LAMB, algorithm 2: Adam's ratio plus decay, scaled to the parameter's norm; biases use Adam's ratio alone."""
    params, gradient = {"alone": layer(0)}, {"alone": layer(1)}
    rate = float(learning_rate(settings)(1))
    moved = updates(lamb(settings), params, [gradient, gradient])["alone"]

    def adam(g, step):  # equal gradients: after bias correction, the moments are g and g²
        return g / (np.abs(g) + settings.epsilon)

    kernel, bias = np.asarray(params["alone"]["kernel"]), np.asarray(params["alone"]["bias"])
    ratio = adam(np.asarray(gradient["alone"]["kernel"]), 1) + settings.weight_decay * kernel
    expected = kernel - rate * np.linalg.norm(kernel) / np.linalg.norm(ratio) * ratio
    np.testing.assert_allclose(moved["kernel"], expected, rtol=1e-5)
    np.testing.assert_allclose(moved["bias"], bias - rate * adam(np.asarray(gradient["alone"]["bias"]), 1), rtol=1e-5)


def test_adam_steps_by_hand(settings):
    """Kingma and Ba, 2015, algorithm 1, with the decay of Loshchilov and Hutter, 2019, on matrices only."""
    names = ("kernel", "bias")
    params, gradients = layer(0), [layer(1), layer(2), layer(3)]
    moved = updates(adam(settings), {"alone": params}, [{"alone": gradient} for gradient in gradients])["alone"]

    b1, b2 = settings.b1, settings.b2
    expected = {name: np.asarray(params[name], np.float64) for name in names}
    first, second = ({name: np.zeros_like(expected[name]) for name in names} for _ in range(2))
    for step, gradient in enumerate(gradients, start=1):
        rate = float(learning_rate(settings)(step - 1))
        for name in names:
            g = np.asarray(gradient[name], np.float64)
            first[name] = b1 * first[name] + (1 - b1) * g
            second[name] = b2 * second[name] + (1 - b2) * g**2
            ratio = first[name] / (1 - b1**step) / (np.sqrt(second[name] / (1 - b2**step)) + settings.epsilon)
            decay = settings.weight_decay * expected[name] if name == "kernel" else 0.0
            expected[name] = expected[name] - rate * (ratio + decay)
    for name in names:
        np.testing.assert_allclose(moved[name], expected[name], rtol=1e-5, atol=1e-7)
        assert np.abs(expected[name] - params[name]).max() > 1e-4


def test_adam_is_no_matter_of_layers(settings):
    """Unlike LAMB, it scales no update by a norm: decay aside, a larger parameter moves no further, stacked or not."""
    settings.weight_decay = 0.0
    one, larger = layer(0), jax.tree.map(lambda leaf: 10 * leaf, layer(0))
    gradients = [layer(1), layer(2)]

    def moves(optimizer, params):
        after = updates(optimizer, {"alone": params}, [{"alone": gradient} for gradient in gradients])["alone"]
        return after["kernel"] - params["kernel"]

    np.testing.assert_allclose(moves(adam(settings), larger), moves(adam(settings), one), atol=1e-5)
    np.testing.assert_allclose(moves(lamb(settings), larger), 10 * moves(lamb(settings), one), atol=1e-5)


@pytest.mark.parametrize(("name", "optimizer"), [("lamb", lamb), ("adam", adam)])
def test_the_optimizer_is_the_one_that_is_named(settings, name, optimizer):
    settings.name = name
    params, gradients = {"alone": layer(0)}, [{"alone": layer(1)}] * 2
    named, itself = (updates(each, params, gradients) for each in (make_optimizer(settings), optimizer(settings)))
    jax.tree.map(np.testing.assert_array_equal, named, itself)


def test_an_unknown_optimizer_is_answered_with_the_nearest(settings):
    settings.name = "adamw"
    with pytest.raises(InputError, match=r"config.optimizer.name = 'adamw': no such choice; did you mean adam\?"):
        make_optimizer(settings)


def test_the_rate_warms_up_and_decays_to_its_end(settings):
    rates = [float(learning_rate(settings)(step)) for step in (0, 5, 10, 60, 110, 200)]
    np.testing.assert_allclose(rates, [0, 1e-3, 2e-3, (2e-3 + 2e-7) / 2, 2e-7, 2e-7], rtol=1e-5, atol=1e-12)


def test_which_parameters_decay():
    names = ["kernel", "embedding", "bias", "content_bias", "position_bias", "scale", "cls", "mask"]
    assert {name for name, chosen in decayed(dict.fromkeys(names, 0)).items() if chosen} == {"kernel", "embedding"}


def test_rmsprop_is_that_of_tensorflow_1():
    """The mean square starts at 1; two steps by hand."""
    given = {"name": "rmsprop", "learning_rate": "0.1", "final_learning_rate": "0.1"}
    settings = config.resolve("monet", "paper", {f"optimizer.{name}": value for name, value in given.items()}).optimizer
    params, gradients = {"x": jnp.array([1.0, -2.0])}, [{"x": jnp.array([3.0, 0.5])}, {"x": jnp.array([-1.0, 2.0])}]
    got = updates(make_optimizer(settings), params, gradients)["x"]
    expected, square = np.array([1.0, -2.0]), np.ones(2)
    for gradient in gradients:
        g = np.asarray(gradient["x"], np.float64)
        square = 0.9 * square + 0.1 * g**2
        expected -= 0.1 * g / np.sqrt(square + 1e-10)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_a_schedule_without_warm_up_or_decay_is_constant():
    rates = learning_rate(config.resolve("monet", "paper", {}).optimizer)
    assert [float(rates(step)) for step in (0, 1, 299_999, 400_000)] == pytest.approx([1e-4] * 4)
