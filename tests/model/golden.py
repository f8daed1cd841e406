"""The released code's figures for a small model, released_small.json, and the inputs and variables that gave them."""

import json
import pathlib

import jax.numpy as jnp
import numpy as np

from aloe.model import released

GOLDEN = json.loads(pathlib.Path(__file__).with_name("released_small.json").read_text())
CONFIG = released.config(**{size: GOLDEN["config"][size] for size in ("layers", "heads", "frames")})


def draw_case():
    """Variables by name, latents, question and choices: redrawn by the same recipe, and checked against its sums."""
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
