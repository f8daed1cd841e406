"""LAMB (You et al., 2020) that supports stacked layers, Adam and RMSProp, all with the paper's schedule."""

from typing import Any

import jax
import optax
from ml_collections import ConfigDict

from aloe.config import choose
from aloe.model.parameters import is_stacked, is_vector


def make_optimizer(config: ConfigDict) -> optax.GradientTransformation:
    """The optimizer that `config.optimizer` names.

    Raises:
      InputError: no optimizer has this name.
    """
    return choose("optimizer.name", config.name, {"lamb": lamb, "adam": adam, "rmsprop": rmsprop})(config)


def learning_rate(config: ConfigDict) -> optax.Schedule:
    """Linear warm-up from 0, then linear decay that reaches the final rate at `decay_steps` (table (a) of A.3)."""
    return optax.join_schedules(
        [
            optax.linear_schedule(0.0, config.learning_rate, config.warmup_steps),
            optax.linear_schedule(
                config.learning_rate, config.final_learning_rate, config.decay_steps - config.warmup_steps
            ),
        ],
        [config.warmup_steps],
    )


def lamb(config: ConfigDict) -> optax.GradientTransformation:
    """LAMB from `config.optimizer`. The trust ratio is taken per layer, even where layers are stacked in one array."""
    return optax.chain(
        optax.scale_by_adam(config.b1, config.b2, config.epsilon),
        optax.add_decayed_weights(config.weight_decay, mask=decayed),
        optax.masked(trust_ratio_per_layer(), decayed),
        optax.scale_by_learning_rate(learning_rate(config)),
    )


def adam(config: ConfigDict) -> optax.GradientTransformation:
    """LAMB without its trust ratio: Adam with decoupled weight decay (Loshchilov and Hutter, 2019)."""
    return optax.adamw(
        learning_rate(config), config.b1, config.b2, config.epsilon, weight_decay=config.weight_decay, mask=decayed
    )


def rmsprop(config: ConfigDict) -> optax.GradientTransformation:
    """RMSProp (Tieleman and Hinton, 2012) without momentum; its mean square starts at 1, as in TensorFlow 1."""
    return optax.rmsprop(learning_rate(config), config.decay, config.epsilon, initial_scale=1.0)


def decayed(params: Any) -> Any:
    """True for the leaves that get weight decay and, in LAMB, a trust ratio.

    LayerNorm scales and offsets, biases, CLS and the mask token get neither, as is common (the paper does not say).
    """
    return jax.tree.map_with_path(lambda path, _: not is_vector(path), params)


def trust_ratio_per_layer() -> optax.GradientTransformation:
    """`optax.scale_by_trust_ratio`, vmapped over the leading axis of leaves that stack layers."""
    whole = optax.scale_by_trust_ratio()

    def rescale(path: jax.tree_util.KeyPath, update: jax.Array, param: jax.Array) -> jax.Array:
        def one(update: jax.Array, param: jax.Array) -> jax.Array:
            return whole.update(update, whole.init(param), param)[0]

        return (jax.vmap(one) if is_stacked(path) else one)(update, param)

    def update(updates: Any, state: Any, params: Any) -> tuple[Any, Any]:
        return jax.tree.map_with_path(rescale, updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
