"""A task small enough to compute by hand: linear regression in two parts whose counts differ between examples."""

import grain
import jax
import jax.numpy as jnp
import numpy as np
from clu.metrics import Average
from flax import nnx

from aloe.data.streams import Stream, endless
from aloe.training.task import Comparison, Diagnosis

SIZE = 6
BATCH = 16


class Linear(nnx.Module):
    def __init__(self, rngs):
        self.weights = nnx.Linear(SIZE, 2, rngs=rngs)
        self.blocks = nnx.vmap(lambda key: nnx.Linear(2, 2, rngs=nnx.Rngs(key)))(jax.random.split(rngs(), 3))

    def __call__(self, x):
        return self.weights(x) + x[:, :2] @ jnp.sum(self.blocks.kernel[...], axis=0)


class Toy:
    """`first` is averaged over examples, `second` over those that exist.

    `noise` scales noise drawn with the examples' keys; after `broken_from` steps, `second` is NaN.
    """

    def __init__(self, noise=0.0, broken_from=None):
        self.loss_weights = {"first": 1.0, "second": 0.5}
        self.noise = noise
        self.broken_from = broken_from

    def model(self, rngs):
        return Linear(rngs)

    def streams(self):
        def example(record, rng):
            x = np.asarray(rng.normal(size=SIZE), np.float32)
            return {"x": x, "y": np.float32(x.sum() + record), "exists": np.bool_(rng.random() < 0.4)}

        def maybe_broken(place, example):
            broken = self.broken_from is not None and place >= self.broken_from * BATCH
            return example | {"y": np.float32("nan")} if broken else example

        datasets = {name: endless(range(20), example, seed=1, name=name) for name in ("a", "b")}
        datasets["b"] = datasets["b"].map_with_index(maybe_broken)
        return {name: Stream(dataset, BATCH) for name, dataset in datasets.items()}

    def counts(self, batch):
        return {
            "first": jnp.float32(batch["a"]["y"].size),
            "second": jnp.sum(batch["b"]["exists"], dtype=jnp.float32),
        }

    def parts(self, model, batch, keys, step_key):
        noise = jax.vmap(lambda key: jax.random.normal(key, (SIZE,)))(keys["a"])
        first = model(batch["a"]["x"] + self.noise * noise)[:, 0] - batch["a"]["y"]
        second = model(batch["b"]["x"])[:, 1] - batch["b"]["y"]
        return {
            "first": Average.from_model_output(first**2),
            "second": Average.from_model_output(second**2, batch["b"]["exists"]),
        }

    def evaluation(self, split, *, shuffled=False):
        rows = np.random.default_rng(5).normal(size=(13, SIZE)).astype(np.float32)
        return {"only": grain.MapDataset.source(list(rows)).map(lambda x: {"x": -x if shuffled else x})}

    def predict(self, model, group, batch):
        return model(batch["x"])[:, 0]

    def scores(self, split, predictions):
        return {"mean": float(np.mean(predictions["only"]))}

    def diagnosis(self, split, predictions):
        picture = np.full((4, 4, 3), 128, np.uint8)
        return Diagnosis({"largest": float(np.max(predictions["only"]))}, {"grey": picture}, ("it is a toy",))

    def comparison(self, split, *, hard=False):
        return lambda predictions, shuffled: Comparison(f"{np.mean(predictions['only'])}", {"shuffled": {}})
