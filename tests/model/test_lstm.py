"""The sequence is read in both directions, and the heads see all of it in each."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from tests.model.test_tower import BATCH, CONFIG, TOKENS, build, transform

HIDDEN = CONFIG.hidden


def by_hand(tower, tokens_TxP):
    """The outputs for one sequence, stepping the cells token by token, in float64."""

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def read(cell, inputs):
        weights = [cell.dense_i.kernel, cell.dense_h.kernel, cell.dense_h.bias]
        of_input, of_hidden, bias = (np.asarray(param[...], np.float64) for param in weights)
        state, hidden, seen = np.zeros(HIDDEN), np.zeros(HIDDEN), []
        for x in inputs:
            into, forget, new, out = np.split(x @ of_input + hidden @ of_hidden + bias, 4)
            state = sigmoid(forget) * state + sigmoid(into) * np.tanh(new)
            hidden = sigmoid(out) * np.tanh(state)
            seen.append(hidden)
        return seen

    outputs = np.asarray(tokens_TxP, np.float64)
    for layer in tower.layers:
        forward, backward = read(layer.forward_rnn.cell, outputs), read(layer.backward_rnn.cell, outputs[::-1])
        outputs = np.concatenate([forward, backward[::-1]], axis=1)
    outputs[0] = np.concatenate([forward[-1], backward[-1]])
    return outputs


def test_outputs_are_those_of_cells_stepped_by_hand():
    tower = nnx.merge(*build("lstm")).tower
    outputs = transform("lstm")(TOKENS)
    for example in range(BATCH):
        np.testing.assert_allclose(outputs[example], by_hand(tower, TOKENS[example]), rtol=1e-5, atol=1e-6)


def test_one_direction_of_one_layer_sees_what_came_before_and_the_other_what_comes_after():
    graphdef, params = build("lstm", layers=1)
    outputs_of = jax.jit(jax.jacobian(lambda tokens: nnx.merge(graphdef, params).transform(tokens)[0]))
    sees_TxT = np.abs(outputs_of(TOKENS[:1])[:, :, 0]).max(axis=-1)  # [output, width, token]
    forward, backward = sees_TxT[:, :HIDDEN].max(axis=1), sees_TxT[:, HIDDEN:].max(axis=1)
    tokens = np.arange(TOKENS.shape[1])
    earlier = tokens <= tokens[:, None]
    np.testing.assert_array_equal(forward[1:] > 0, earlier[1:])
    np.testing.assert_array_equal(backward[1:] > 0, (earlier.T | np.eye(len(tokens), dtype=bool))[1:])
    assert (forward[0] > 0).all()  # the output for the heads, after the whole sequence in either direction
    assert (backward[0] > 0).all()


def test_state_is_kept_in_float32():
    """Over hundreds of tokens, a cell's sums would lose what bfloat16 rounds away."""
    graphdef, params = build("lstm", layers=1, dtype="bfloat16")
    layer = nnx.merge(graphdef, params).tower.layers[0]
    zeros = jnp.zeros((BATCH, HIDDEN))
    (state, hidden), _ = layer.forward_rnn.cell((zeros, zeros), TOKENS[:, 0].astype(jnp.bfloat16))
    assert state.dtype == hidden.dtype == jnp.float32
