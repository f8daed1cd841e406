"""The single output depends on every token; the heads and f both read it."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.model.test_tower import BATCH, TOKENS, build, transform


def test_the_output_is_that_of_the_layers_on_the_flattened_sequence():
    model = nnx.merge(*build("mlp"))
    x = np.asarray(TOKENS, np.float64).reshape(BATCH, -1)
    assert len(model.tower.layers) == 2
    for layer in model.tower.layers:
        x = np.maximum(x @ np.asarray(layer.kernel[...], np.float64) + np.asarray(layer.bias[...], np.float64), 0)
    np.testing.assert_allclose(transform("mlp")(TOKENS)[:, 0], x, rtol=1e-5, atol=1e-5)


def test_the_output_depends_on_every_number_of_every_token():
    kernel = nnx.merge(*build("mlp")).tower.layers[0].kernel[...]
    assert kernel.shape == (15 * 8, 16)
    run = transform("mlp")
    for place in range(TOKENS.shape[1]):
        changed = np.abs(run(TOKENS.at[:, place].add(1.0)) - run(TOKENS)).max(axis=(1, 2))
        assert (changed > 1e-6).all()


def test_the_latents_of_all_objects_are_read_from_the_last_layer():
    model = nnx.merge(*build("mlp"))
    outputs = transform("mlp")(TOKENS)
    expected = outputs[:, 0] @ model.infill_map.kernel[...] + model.infill_map.bias[...]
    np.testing.assert_allclose(model.infill(outputs), expected.reshape(BATCH, 4, 3, 6), rtol=1e-5, atol=1e-5)


def test_a_sequence_of_another_length_is_refused_with_the_numbers():
    model = nnx.merge(*build("mlp"))
    with pytest.raises(ValueError, match=r"\(4, 16, 8\) given to an mlp of 15 tokens: 1 \+ 2 words \+ 4 frames"):
        model.transform(jnp.concatenate([TOKENS, TOKENS[:, :1]], axis=1))
