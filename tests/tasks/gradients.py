"""To which parameters a part of a task's loss has a gradient."""

import functools

import jax
import numpy as np
from flax import nnx

STEP_KEY = jax.random.key(77)


def moved(task):
    """A fresh model's structure and parameters, with CLS and biases moved off zero, where a gradient could hide."""
    graphdef, params = nnx.split(task.model(nnx.Rngs(0)), nnx.Param)
    moved = jax.tree.map(
        lambda leaf: leaf + 0.1 * np.random.default_rng(leaf.size).normal(size=leaf.shape).astype(np.float32), params
    )
    return graphdef, moved


def keys_for(batch):
    return {
        name: jax.random.split(jax.random.key(number), len(jax.tree.leaves(batch[name])[0]))
        for number, name in enumerate(sorted(batch))
    }


@functools.cache
def compiled_gradient(task, graphdef):
    def loss(params, batch, weights):
        parts = task.parts(nnx.merge(graphdef, params), batch, keys_for(batch), STEP_KEY)
        counts = task.counts(batch)
        return sum(weights[name] * parts[name].total / counts[name] for name in weights), parts

    return jax.jit(jax.grad(loss, has_aux=True))


def reached(task, model, batch, **weights):
    """Names of the parameters to which the gradient of some parts of the loss is not zero, and all names."""
    graphdef, params = model
    weights = {name: weights.get(name, 0.0) for name in task.loss_weights}
    grads = nnx.to_pure_dict(compiled_gradient(task, graphdef)(params, batch, weights)[0])
    flat, _ = jax.tree.flatten_with_path(grads)
    norms = {jax.tree_util.keystr(path, simple=True, separator="/"): np.linalg.norm(leaf) for path, leaf in flat}
    return {name for name, norm in norms.items() if norm != 0}, set(norms)
