"""The released forward pass: the figures of the released code for a small model, released_small.json; its full size."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aloe.errors import InputError
from aloe.model import released
from aloe.model.aloe import Aloe
from tests.model.golden import CONFIG, GOLDEN, draw_case

WITHIN = 1e-5  # relative to the largest number of a figure, in float32


@pytest.fixture(scope="module")
def case():
    return draw_case()


def figures(case, config):
    """By name: both logits; norm and part of the gradient of each one's sum of squares with respect to the latents."""
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
    """The largest error of each figure, relative to the largest number of the released one."""
    expected = {name: np.asarray(GOLDEN[name]) for name in found}
    return {
        name: np.abs(np.asarray(found[name], np.float64) - expected[name]).max() / np.abs(expected[name]).max()
        for name in found
    }


@pytest.mark.parametrize("loop", ["scan", "unrolled"])
def test_released_form_gives_the_released_figures(case, loop):
    found = errors(figures(case, dataclasses.replace(CONFIG, loop=loop)))
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
        "transformer_tower/layer_2/mlp/linear_0/b of shape (1024,) is left over",
    ):
        assert fault in str(raised.value)
    assert str(raised.value).count("\n") == 5


def test_numbers_of_another_kind_and_not_finite_ones_are_faults(case):
    variables = dict(case[0])
    variables["linear/b"] = np.arange(128)
    variables["mask"] = np.full(18, np.nan, np.float32)
    with pytest.raises(InputError) as raised:
        released.params_from_variables(variables, CONFIG)
    assert "linear/b holds int64 instead of floating-point numbers; it is our heads/choice/hidden/bias" in str(
        raised.value
    )
    assert "mask holds numbers that are not finite; it is our embedding/mask" in str(raised.value)
    assert str(raised.value).count("\n") == 2


def test_what_is_known_to_be_unused_and_what_is_named_are_passed_over(case):
    extra = {"linear_4/w": np.zeros((18, 18)), "linear_4/b": np.zeros(18), "global_step": np.int64(7)}
    released.params_from_variables({**case[0], **extra}, CONFIG)
    extra |= {"beta1_power": np.float32(0.9), "linear/w/LAMB": np.zeros((36, 128)), "dummy/LAMB": np.zeros(18)}
    with pytest.raises(InputError, match=r"\(--pass_over=") as raised:
        released.params_from_variables({**case[0], **extra}, CONFIG, ["*/LAMB"])
    assert str(raised.value).endswith("\n  beta1_power of shape () is left over")
    assert str(raised.value).count("\n") == 1
    released.params_from_variables({**case[0], **extra}, CONFIG, ["*/LAMB", "beta*_power"])


def test_the_mapping_names_each_variable_and_each_of_our_numbers_once(case):
    mapped = released.variables_of(CONFIG)
    assert {variable.name: variable.shape for variable in mapped} == {
        name: tuple(shape) for name, shape, _ in GOLDEN["params"]
    }
    assert len({variable.name for variable in mapped}) == len({variable.path for variable in mapped}) == len(mapped)
    # Each variable is filled with a value of its own, which must appear in its parameter.
    numbers = {variable.name: np.full(variable.shape, n, np.float32) for n, variable in enumerate(mapped, start=1)}
    flat = dict(nnx.to_flat_state(released.params_from_variables(numbers, CONFIG)))
    ours = {"/".join(map(str, path)): np.asarray(leaf[...]) for path, leaf in flat.items()}
    for n, variable in enumerate(mapped, start=1):
        path, _, layer = variable.path.rstrip("]").partition("[")
        values = ours[path][int(layer)] if layer else ours[path]
        assert np.all(values == n), variable
        assert values.size == np.prod(variable.shape)


def test_the_table_has_a_line_for_every_variable(case):
    extra = {"linear_4/w": np.zeros((18, 18))}
    lines = released.mapping_table({**case[0], **extra}, CONFIG).splitlines()[2:]
    assert len(lines) == len(case[0]) + 1
    found = {line.split()[0]: line.split(maxsplit=2)[1:] for line in lines}
    assert found.keys() == case[0].keys() | extra.keys()
    assert found["linear_4/w"] == ["18×18", "(no use)"]
    assert found["transformer_tower/layer_1/multihead_attention/r_w_bias"] == [
        "1×2×1×18",
        "tower/blocks/attention/content_bias[1]",
    ]


def test_words_of_another_length_are_refused(case):
    variables, latents, question, choices = case
    params = released.params_from_variables(variables, CONFIG)
    with pytest.raises(InputError, match=r"question of shape \(3, 19\): pad it with 0 to 20 words"):
        released.forward(params, CONFIG, latents, question[:, 1:], choices)
    with pytest.raises(InputError, match=r"choices of shape \(3, 4, 11\): pad it with 0 to 12 words"):
        released.forward(params, CONFIG, latents, question, choices[..., 1:])
