"""Every named variant trains with the same step, and really lacks what it leaves out."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aloe import config
from aloe.data.streams import host_batches
from aloe.model.aloe import Aloe
from aloe.tasks.clevrer import task as clevrer
from aloe.tasks.clevrer.config import VARIANTS
from aloe.tasks.clevrer.task import AUXILIARY, CHOICE, DESCRIPTIVE, UNSUPERVISED
from aloe.training.evaluation import global_batch
from aloe.training.optimizer import make_optimizer
from aloe.training.state import TrainState
from aloe.training.step import train_step
from tests.tasks.clevrer import pixels
from tests.tasks.clevrer.encoded import settings, write_encoded
from tests.training.test_step import mesh_of

FEW = {
    "batch.descriptive": 4,
    "batch.choice": 4,
    "batch.unsupervised": 4,
    "model.hidden": 16,
    "optimizer.warmup_steps": 1,
    "data.encoder": "oracle",
}
UNREACHED = {"released": ["embedding/mask"]}  # among the released weights, but only an auxiliary loss would use it
OF_PIXELS = ("superpixels", "masked_frames")
STEP_KEY = jax.random.key(7)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data folder with latents and pixels."""
    return pixels.write_pixels(write_encoded(tmp_path_factory.mktemp("world")))


def make(root, variant):
    few = FEW | pixels.SMALL if variant in OF_PIXELS else FEW
    task = clevrer.make(settings(root, few, variant))
    return task, next(host_batches(task.streams(), first_step=0, host=0, hosts=1))


def of_paper_size(variant):
    """Shapes of the parameters."""
    resolved = config.resolve("clevrer", variant, {})
    sizes = clevrer.model_config(resolved)
    return nnx.to_pure_dict(nnx.state(nnx.eval_shape(lambda: Aloe(sizes, rngs=nnx.Rngs(0))), nnx.Param))


def names(tree):
    flat, _ = jax.tree.flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in flat}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_has_the_fields_of_the_paper_and_no_others(variant):
    paper, other = (dict(config.flatten(config.resolve("clevrer", name, {}))) for name in ("paper", variant))
    assert {field: type(value) for field, value in other.items()} == {
        field: type(value) for field, value in paper.items()
    }
    changed = {field for field in paper if paper[field] != other[field]}
    assert changed == {*VARIANTS[variant]} | ({"variant"} if variant != "paper" else set())


def count(tree):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("variant", "millions"),
    [("paper", 14.98), ("hierarchical", 15.03), ("mlp", 28.27), ("no_auxiliary", 14.98), ("lstm", 15.05)],
)
def test_parameters_at_the_papers_size(variant, millions):
    """The paper's transformer has 15 M; its MLP 20 M, ours 21.7 M without f, which outputs all latents at once."""
    params = of_paper_size(variant)
    assert round(count(params) / 1e6, 2) == millions
    if variant == "mlp":
        assert round((count(params) - count(params["infill_map"])) / 1e6, 1) == 21.7
    if variant == "no_auxiliary":
        assert count(params) == 14_980_819 - 18  # the released variables minus their mask embedding


@pytest.mark.slow
@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "quickstart"])
def test_a_training_step_is_finite_and_its_gradient_reaches_every_parameter(root, variant):
    task, batch = make(root, variant)
    graphdef, params = nnx.split(task.model(nnx.Rngs(0)), nnx.Param)
    # Moved off zero, where a gradient could vanish.
    params = jax.tree.map(
        lambda leaf: leaf + 0.1 * np.random.default_rng(leaf.size).normal(size=leaf.shape).astype(np.float32),
        nnx.to_pure_dict(params),
    )
    before = jax.device_get(params)
    optimizer = make_optimizer(task.config.optimizer)
    mesh = mesh_of(1)
    step = train_step(task, graphdef, optimizer, mesh, seed=0)
    state = TrainState(params=params, opt_state=optimizer.init(params), step=jnp.zeros((), jnp.int32))
    state, parts = step(state, global_batch(batch, mesh))
    assert all(np.isfinite(part.total) for part in parts.values())
    gradient = names(state.opt_state[0].mu)  # after one step: the gradient times 1 − b1
    assert [name for name, leaf in gradient.items() if not np.any(leaf)] == UNREACHED.get(variant, [])

    state, parts = step(state, global_batch(batch, mesh))  # the first step's learning rate is 0
    assert all(np.isfinite(part.total) for part in parts.values())
    after = names(state.params)
    unchanged = [name for name, leaf in names(before).items() if np.array_equal(leaf, after[name])]
    assert unchanged == UNREACHED.get(variant, [])


def test_without_the_auxiliary_loss_nothing_unsupervised_is_drawn_or_computed(root, monkeypatch):
    called = []

    def spy(owner, name):
        original = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *args, **kwargs: called.append(name) or original(*args, **kwargs))

    spy(clevrer, "unsupervised_tokens")
    spy(clevrer.Examples, "unsupervised")
    spy(Aloe, "infill")

    def sequences(variant):
        """The streams and losses of a step, and how many sequences go through the tower in it."""
        task, batch = make(root, variant)
        assert set(task.streams()) == set(batch)
        assert set(task.counts(batch)) == set(task.loss_weights)
        seen = []
        transform = Aloe.transform
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Aloe, "transform", lambda self, tokens, keys: seen.append(tokens) or transform(self, tokens))
            keys = {name: jax.random.split(STEP_KEY, len(rows["latents"])) for name, rows in batch.items()}
            parts = jax.eval_shape(lambda: task.parts(task.model(nnx.Rngs(0)), batch, keys, STEP_KEY))
        (tokens,) = seen
        return set(batch), set(parts) & {DESCRIPTIVE, CHOICE, AUXILIARY}, tokens.shape[0]

    assert sequences("no_auxiliary") == ({DESCRIPTIVE, CHOICE}, {DESCRIPTIVE, CHOICE}, 4 + 4 * 4)
    assert called == []
    assert sequences("paper") == (
        {DESCRIPTIVE, CHOICE, UNSUPERVISED},
        {DESCRIPTIVE, CHOICE, AUXILIARY},
        4 + 4 * 4 + 4,
    )
    assert set(called) == {"unsupervised_tokens", "unsupervised", "infill"}
    assert not any(name.startswith("infill_map") for name in names(of_paper_size("no_auxiliary")))
