"""A bidirectional LSTM in place of the transformer (paper, section 3.1, footnote 1)."""

import jax
import jax.numpy as jnp
from flax import nnx

from aloe.attention.dropout import DropoutKeys
from aloe.model.config import ModelConfig
from aloe.model.layers import drop


class BidirectionalLSTM(nnx.Module):
    """Layers that each read the sequence in both directions. A tower, see `aloe.model.tower`.

    Each direction is `config.hidden` wide, and the next layer reads both. f reads the outputs at the objects'
    positions, the heads the final states of the last layer, each direction's after the whole sequence: at CLS the
    forward one has seen nothing else. Dropout follows each layer, and is not applied from token to token. Cell and
    hidden states are carried in float32. The paper specifies none of this.
    """

    objects_per_output = 1

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.width = 2 * config.hidden

        def direction(inputs: int) -> nnx.RNN:
            cell = nnx.OptimizedLSTMCell(inputs, config.hidden, dtype=config.compute_dtype, rngs=rngs)
            return nnx.RNN(cell, rngs=False)

        self.layers = nnx.List(
            nnx.Bidirectional(direction(inputs), direction(inputs), rngs=False)
            for inputs in [config.token, *[self.width] * (config.layers - 1)]
        )

    def __call__(self, tokens_BxTxP: jax.Array, keys: DropoutKeys | None = None) -> jax.Array:
        config = self.config
        if keys is not None:
            keys = keys.split(config.layers)
        # Derived from the tokens, because in shard_map the initial state must vary over devices like the carry.
        zeros_BxM = jnp.zeros_like(tokens_BxTxP, shape=(len(tokens_BxTxP), config.hidden))
        initial = ((zeros_BxM, zeros_BxM),) * 2  # cell and hidden state, forward and backward

        def run(graphdef: nnx.GraphDef, params: nnx.State, x_BxTxE: jax.Array) -> jax.Array:
            # A copy, because nnx refuses to scan with variables that were created outside the function being traced.
            layer = nnx.merge(graphdef, params, copy=True)
            return layer(x_BxTxE, initial_carry=initial).astype(config.compute_dtype)

        if config.remat:
            run = jax.checkpoint(run, static_argnums=0)
        x_BxTxE = tokens_BxTxP
        for place, layer in enumerate(self.layers):
            x_BxTxE = drop(run(*nnx.split(layer), x_BxTxE), config, keys, place)

        forward_BxM, backward_BxM = x_BxTxE[:, -1, : config.hidden], x_BxTxE[:, 0, config.hidden :]
        final_Bx1xE = jnp.concatenate([forward_BxM, backward_BxM], axis=-1)[:, None]
        return jnp.concatenate([final_Bx1xE, x_BxTxE[:, 1:]], axis=1)
