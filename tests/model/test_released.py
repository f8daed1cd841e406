"""The released forward pass: its own figures for a small model, in released_small.json, and its full size."""

import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aloe.errors import InputError
from aloe.model import released
from aloe.model.aloe import Aloe

GOLDEN = json.loads(pathlib.Path(__file__).with_name("released_small.json").read_text())
CONFIG = released.config(**{size: GOLDEN["config"][size] for size in ("layers", "heads", "frames")})
WITHIN = 1e-5  # of the largest figure, in float32


@pytest.fixture(scope="module")
def case():
    """Inputs and variables, drawn again by the recipe that made the figures, and checked by their sums."""
    random = np.random.RandomState(GOLDEN["config"]["seed"])
    batch = GOLDEN["config"]["batch"]
    latents = random.standard_normal((batch, CONFIG.frames, 8, 16)).astype(np.float32)
    question, choices = np.zeros((batch, 20), int), np.zeros((batch, 4, 12), int)
    for b in range(batch):
        length = random.randint(5, 21)
        question[b, :length] = random.randint(1, 82, length)
        for c in range(random.randint(2, 5)):
            length = random.randint(3, 13)
            choices[b, c, :length] = random.randint(1, 82, length)
    assert np.isclose(latents.sum(dtype=np.float64), GOLDEN["latents_sum"], rtol=0, atol=1e-6)

    variables = {}
    for name, shape, total in GOLDEN["params"]:
        drawn = random.standard_normal(shape)
        if name.endswith("gamma"):
            drawn = 1 + 0.1 * drawn
        elif "bias" in name or len(shape) == 1:
            drawn = 0.2 * drawn
        elif not name.endswith("embeddings"):
            drawn = drawn / np.sqrt(shape[0])
        variables[name] = drawn.astype(np.float32)
        assert np.isclose(variables[name].sum(dtype=np.float64), total, rtol=0, atol=1e-6), name
    return variables, jnp.asarray(latents), jnp.asarray(question), jnp.asarray(choices)


def figures(case, config):
    """By name: both logits, and of the sum of each one's squares, the gradient with respect to the latents."""
    variables, latents, question, choices = case
    params = released.params_from_variables(variables, config)

    def half(which, latents):
        logits = released.forward(params, config, latents, question, choices)[which]
        return jnp.sum(logits**2), logits

    found = {}
    for which, name in enumerate(("descriptive", "mc")):
        (_, logits), gradient = jax.jit(jax.value_and_grad(lambda x, which=which: half(which, x), has_aux=True))(
            latents
        )
        found[f"logits_{name}"] = logits
        found[f"grad_latents_{name}_norm"] = jnp.linalg.norm(gradient)
        found[f"grad_latents_{name}_00"] = gradient[0, 0]
    return found


def errors(found):
    """How far each figure is from the released one, relative to the largest number of it."""
    expected = {name: np.asarray(GOLDEN[name]) for name in found}
    return {
        name: np.abs(np.asarray(found[name], np.float64) - expected[name]).max() / np.abs(expected[name]).max()
        for name in found
    }


@pytest.mark.parametrize("scan", [True, False])
def test_released_form_gives_the_released_figures(case, scan):
    found = errors(figures(case, dataclasses.replace(CONFIG, scan=scan)))
    assert len(found) == 6
    assert all(error < WITHIN for error in found.values()), found


def test_bidirectional_form_does_not(case):
    found = errors(figures(case, dataclasses.replace(CONFIG, relative_form="bidirectional")))
    assert all(error > 1000 * WITHIN for error in found.values()), found


def test_full_size_has_as_many_parameters_as_the_checkpoint():
    model = nnx.eval_shape(lambda: Aloe(released.config(), rngs=nnx.Rngs(0)))
    params = nnx.state(model, nnx.Param)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 14_980_819
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))


def test_params_are_those_of_the_model(case):
    loaded = released.params_from_variables(case[0], CONFIG)
    fresh = nnx.state(nnx.eval_shape(lambda: Aloe(CONFIG, rngs=nnx.Rngs(0))), nnx.Param)
    shapes = [[(path, leaf.shape) for path, leaf in nnx.to_flat_state(params)] for params in (loaded, fresh)]
    assert shapes[0] == shapes[1]


def test_faults_of_variables_are_all_listed(case):
    variables = dict(case[0])
    del variables["dummy"], variables["transformer_tower/layer_1/mlp/linear_0/w"]
    variables["linear/w"] = np.zeros((36, 127))
    variables["transformer_tower/layer_0/multihead_attention/r_w_bias"] = np.zeros((2, 18))
    variables["transformer_tower/layer_2/mlp/linear_0/b"] = np.zeros(1024)
    with pytest.raises(InputError) as raised:
        released.params_from_variables(variables, CONFIG)
    for fault in (
        "dummy is missing",
        "transformer_tower/layer_1/mlp/linear_0/w is missing",
        "linear/w has shape (36, 127) instead of (36, 128)",
        "layer_0/multihead_attention/r_w_bias has shape (2, 18) instead of (1, 2, 1, 18)",
        "transformer_tower/layer_2/mlp/linear_0/b is of no use",
    ):
        assert fault in str(raised.value)
    assert str(raised.value).count("\n") == 5


def test_the_infill_map_of_the_checkpoint_is_passed_over(case):
    extra = {"linear_4/w": np.zeros((18, 18)), "linear_4/b": np.zeros(18)}
    released.params_from_variables({**case[0], **extra}, CONFIG)


def test_words_of_another_length_are_refused(case):
    variables, latents, question, choices = case
    params = released.params_from_variables(variables, CONFIG)
    with pytest.raises(InputError, match=r"question of shape \(3, 19\): pad it with 0 to 20 words"):
        released.forward(params, CONFIG, latents, question[:, 1:], choices)
    with pytest.raises(InputError, match=r"choices of shape \(3, 4, 11\): pad it with 0 to 12 words"):
        released.forward(params, CONFIG, latents, question, choices[..., 1:])
