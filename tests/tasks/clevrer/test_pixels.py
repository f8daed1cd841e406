"""Aloe on pixels: the content of batches, where gradients flow, what is refused, and parameters carried over."""

import functools
import itertools
import json
import re

import jax
import numpy as np
import pytest
from flax import nnx

from aloe import config
from aloe.data import masks
from aloe.data.streams import host_batches
from aloe.errors import InputError
from aloe.model.aloe import Aloe
from aloe.tasks.clevrer import task as clevrer
from aloe.tasks.clevrer.task import AUXILIARY, CHOICE, DESCRIPTIVE, UNSUPERVISED
from aloe.training import loop, workdir
from aloe.training.checkpoints import Checkpoints
from aloe.training.state import parameter_count
from aloe.training.step import data_mesh
from tests.commands import launch
from tests.tasks.clevrer import pixels
from tests.tasks.clevrer.encoded import flags, settings, write_encoded
from tests.tasks.clevrer.test_task import keys_for, norms
from tests.tasks.clevrer.writer import descriptive, entry, multiple_choice, write_json

STEP_KEY = jax.random.key(77)
KINDS = ("superpixels", "masked_frames")
FEW = {"batch.descriptive": 8, "batch.choice": 8, "batch.unsupervised": 8, "batch.evaluation": 8}
SMALL = {**pixels.SMALL, **FEW, "model.layers": 1, "model.dropout": 0.0}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return pixels.write_pixels(write_encoded(tmp_path_factory.mktemp("pixels")))


@pytest.fixture(scope="module", params=KINDS)
def task(request, root):
    return clevrer.make(settings(root, SMALL, request.param))


@pytest.fixture(scope="module")
def batch(task):
    return next(host_batches(task.streams(), first_step=0, host=0, hosts=1))


@pytest.fixture(scope="module")
def model(task):
    """With biases and CLS moved off zero, where a gradient could vanish."""
    graphdef, params = nnx.split(task.model(nnx.Rngs(0)), nnx.Param)
    rng = np.random.default_rng(0)
    return graphdef, jax.tree.map(lambda leaf: leaf + 0.1 * rng.normal(size=leaf.shape).astype(np.float32), params)


def keys_of(batch):
    return keys_for({name: {"latents": rows["image"]} for name, rows in batch.items()})


def test_an_example_shows_frames_of_one_video_in_order_and_their_masks(task, batch):
    known = {}
    for index in (*range(12), *range(12, 17)):
        image, mask = pixels.drawn(index)
        known |= {image[frame].tobytes(): (index, frame, masks.pack(mask)[frame]) for frame in range(pixels.STORED)}
    seen = set()
    for rows in batch.values():
        assert set(rows) & {"latents"} == set()
        for place, image_FxYxXx3 in enumerate(rows["image"]):
            found = [known[image.tobytes()] for image in image_FxYxXx3]
            videos, numbers, packed = zip(*found, strict=True)
            assert len(set(videos)) == 1
            assert videos[0] < 12  # from the training split
            assert list(numbers) == sorted(set(numbers))
            seen |= set(numbers)
            if "masks" in rows:
                np.testing.assert_array_equal(rows["masks"][place], packed)
        assert ("masks" in rows) == (task.config.perception.kind == "masked_frames")
    assert seen == set(range(pixels.STORED))


def test_evaluation_shows_frames_evenly_spread_and_as_a_control_those_of_other_videos(task):
    for shuffled in (False, True):
        for group, dataset in task.evaluation("validation", shuffled=shuffled).items():
            for place, record in enumerate(task.questions("validation")[group]):
                image, _ = pixels.drawn(record.scene_index)
                shown = dataset[place]["image"]
                assert np.array_equal(shown, image[[0, 2, 4]]) == (not shuffled)


def gradient(task, model, batch, weights):
    graphdef, params = model
    weights = {name: weights.get(name, 0.0) for name in task.loss_weights}

    def loss(params):
        parts = task.parts(nnx.merge(graphdef, params), batch, keys_of(batch), STEP_KEY)
        counts = task.counts(batch)
        return sum(weights[name] * parts[name].total / counts[name] for name in weights)

    return norms(nnx.to_pure_dict(jax.jit(jax.grad(loss))(params)))


def test_the_supervised_losses_reach_every_parameter_of_the_perception(task, model, batch):
    for part in (DESCRIPTIVE, CHOICE):
        grads = gradient(task, model, batch, {part: 1.0})
        perception = {name: norm for name, norm in grads.items() if name.startswith("perception/")}
        assert len(perception) == 2 * (2 * 2 + 1)
        assert all(norm > 0 for norm in perception.values())


def test_the_auxiliary_loss_reaches_f_and_the_transformer_alone(task, model, batch, monkeypatch):
    grads = gradient(task, model, batch, {AUXILIARY: 1.0})
    reached = {name for name, norm in grads.items() if norm != 0}
    assert reached == {name for name in grads if name.startswith(("tower/", "infill_map/"))}
    monkeypatch.setattr(clevrer, "without_gradient", lambda rows: rows)
    without = gradient(task, model, batch, {AUXILIARY: 1.0})
    assert all(norm > 0 for name, norm in without.items() if name.startswith("perception/"))


def test_slots_change_places_where_they_are_objects_and_stay_where_they_are_places(task, model, batch, monkeypatch):
    shown = []
    tokens = Aloe.tokens

    def spy(self, latents_BxFxNxD, *args, **kwargs):
        shown.append(latents_BxFxNxD)
        return tokens(self, latents_BxFxNxD, *args, **kwargs)

    monkeypatch.setattr(Aloe, "tokens", spy)
    merged = nnx.merge(*model)
    task.parts(merged, batch, keys_of(batch), STEP_KEY)
    for name, latents in ((DESCRIPTIVE, shown[0]), (UNSUPERVISED, shown[2])):
        made, latents = np.asarray(merged.perceive(batch[name])), np.asarray(latents)
        ordered = task.config.perception.kind == "superpixels"
        same = np.isclose(made, latents, atol=1e-5).all()
        assert same == ordered
        # The same latents in every frame, whatever their order.
        np.testing.assert_allclose(np.sort(made, axis=2), np.sort(latents, axis=2), atol=1e-5)


def test_masks_are_no_parameters_and_frames_are_read_only(task):
    params = nnx.to_pure_dict(nnx.state(task.model(nnx.Rngs(0)), nnx.Param))
    assert set(params["perception"]) == {"resnet", "latents"}
    for pixel_examples in task.examples.values():
        store = pixel_examples.videos.frames
        assert not store._frames_VxFxYxXx3.flags.writeable


@pytest.mark.parametrize(
    ("variant", "channels", "places", "tokens"),
    [
        ("superpixels", (3, 32, 64, 128, 256), 1, 1 + 32 + 25 * 16),
        ("masked_frames", (3, 16, 32, 64), 8 * 8, 1 + 32 + 25 * 8),
    ],
)
def test_sizes_of_the_named_variants(variant, channels, places, tokens):
    """Two convolutions per block, with biases; then a dense layer on one position, or on all positions at once."""
    resolved = config.resolve("clevrer", variant, {})
    sizes, perception = clevrer.model_config(resolved), clevrer.perception_config(resolved)
    assert sizes.tokens == tokens
    model = nnx.eval_shape(
        lambda: Aloe(sizes, rngs=nnx.Rngs(0), perception=clevrer.learned.make(perception, sizes, rngs=nnx.Rngs(0)))
    )
    expected = sum((9 * inputs + 1) * out + (9 * out + 1) * out for inputs, out in itertools.pairwise(channels))
    expected += (places * channels[-1] + 1) * 16
    assert parameter_count(nnx.to_pure_dict(nnx.state(model.perception))) == expected
    convolutions = [path for path, node in nnx.iter_modules(model) if isinstance(node, nnx.Conv)]
    assert len(convolutions) == 2 * resolved.perception.blocks


@pytest.mark.parametrize(
    ("variant", "changes", "message"),
    [
        ("superpixels", {"model.slots": 8}, "config.model.slots = 8: 2 blocks make 4×4 superpixels"),
        ("superpixels", {"perception.kind": "pixels"}, "perception.kind is 'pixels'"),
        ("superpixels", {"data.frames_per_video": 2}, "config.data.frames_per_video = 2: give a number from"),
        ("superpixels", {"data.frames_per_video": 200}, "to the 128 frames of a video"),
        ("superpixels", {"data.frames_per_video": 4}, "videos of the train split are missing or broken"),
        ("masked_frames", {"data.masks": "monet"}, "train_monet_masks.json: there are no such masks"),
        (
            "masked_frames",
            {"model.slots": 10},
            "train_exact_masks.json: masks of 16 slots, and config.model.slots = 10",
        ),
    ],
)
def test_what_does_not_fit_is_refused(root, variant, changes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        clevrer.make(settings(root, SMALL | changes, variant))


def test_videos_without_masks_are_left_out(root, tmp_path):
    write_encoded(tmp_path)
    pixels.write_pixels(tmp_path)
    folder = tmp_path / "frames" / "16x16-8"
    indices = list(range(12))
    packed = (InputError("broken") if index == 3 else masks.pack(pixels.drawn(index)[1]) for index in indices)
    masks.write(folder, "train", packed, indices, pixels.NUMBERS, 16, 16, {"name": "exact"}, limit=0.1)
    with pytest.raises(InputError, match="video 3 has no frames, or no masks"):
        clevrer.make(settings(tmp_path, SMALL, "masked_frames"))


def trained(root, folder, variant="superpixels", seed=0, steps=2, **changes):
    settled = {"seed": seed, "training.steps": steps, "training.evaluate_every": 100, "optimizer.warmup_steps": 0}
    resolved = settings(root, SMALL | settled | changes, variant)
    resolved.workdir = str(folder)
    return resolved


def run(resolved):
    return loop.run(resolved.to_dict(), stop=lambda step: False)


def params_of(folder):
    checkpoints = Checkpoints(folder / workdir.CHECKPOINTS, data_mesh(), workdir.read(folder).training, read_only=True)
    return {name: checkpoints.part(name) for name in ("perception", "tower")}


@pytest.mark.slow
def test_a_run_begins_with_the_perception_of_another_and_goes_on_without_it(root, tmp_path):
    run(trained(root, tmp_path / "first", seed=1))
    carried = {"perception.pretrained": str(tmp_path / "first")}
    still = {"optimizer.learning_rate": 1e-30, "optimizer.final_learning_rate": 1e-30}
    run(trained(root, tmp_path / "second", steps=1, **carried, **still))
    first, second = params_of(tmp_path / "first"), params_of(tmp_path / "second")
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), first["perception"], second["perception"])
    assert not all(jax.tree.leaves(jax.tree.map(np.array_equal, first["tower"], second["tower"])))

    # It is trained further, and resumes from its own checkpoint, whatever became of the run that it came from.
    fast = trained(root, tmp_path / "third", steps=1, **carried)
    run(fast)
    third = params_of(tmp_path / "third")["perception"]
    assert not any(jax.tree.leaves(jax.tree.map(np.array_equal, first["perception"], third)))
    (tmp_path / "first" / workdir.CONFIG).unlink()
    fast.training.steps = 1
    assert run(fast)["step"] == 1

    # A different perception is reported by name and shape, before anything is written.
    for changes, message in (
        ({"perception.width": 8}, r"latents/kernel is \(8, 16\) there and \(16, 16\) here.*Take its config.perception"),
        ({"model.latent": 8}, r"latents/bias is \(16,\) there and \(8,\) here"),
    ):
        other = trained(root, tmp_path / "other", **{"perception.pretrained": str(tmp_path / "second")} | changes)
        with pytest.raises(InputError, match=message):
            run(other)
        assert not (tmp_path / "other").exists()


def test_a_perception_is_carried_over_from_a_run_that_has_one_to_a_model_that_has_one(root, tmp_path):
    resolved = trained(root, tmp_path / "stored", "paper", **{"model.slots": 8})
    workdir.claim(resolved)
    named = {"perception.pretrained": str(tmp_path / "stored")}
    with pytest.raises(InputError, match="that run has no checkpoint yet"):
        run(trained(root, tmp_path / "a", **named))
    with pytest.raises(InputError, match=r"/nowhere/config.json: no such file"):
        run(trained(root, tmp_path / "a", **{"perception.pretrained": "/nowhere"}))
    with pytest.raises(InputError, match="this model takes stored latents, and has no perception"):
        run(trained(root, tmp_path / "a", "paper", **named, **{"model.slots": 8}))
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
@pytest.mark.parametrize("variant", KINDS)
def test_a_small_one_learns_the_colour_of_a_square(tmp_path, variant):
    """Run through the command, and scored on videos not seen in training."""
    data = tmp_path / "data"
    for split, indices in (("train", range(60)), ("validation", range(60, 90))):
        text = "What is the color of the cube?"
        asked = [
            [descriptive(0, text, "query_color", pixels.color_of(i)), multiple_choice(1, correct=(i % 3 == 0,))]
            for i in indices
        ]
        write_json(data / f"{split}.json", [entry(*pair) for pair in zip(indices, asked, strict=True)])
    pixels.write_pixels(data)
    chosen = {
        **SMALL,
        "batch.descriptive": 16,
        "optimizer.learning_rate": 5e-3,
        "optimizer.warmup_steps": 20,
        "optimizer.decay_steps": 300,
        "training.steps": 300,
        "training.evaluate_every": 300,
    }
    where = (f"--data={data}", f"--workdir={tmp_path / 'run'}")
    launch("train.py", "--task=clevrer", f"--variant={variant}", "--local", *where, *flags(chosen))
    last = json.loads((tmp_path / "run" / workdir.METRICS).read_text().splitlines()[-1])
    assert last["validation/descriptive"] > 90  # each colour is a third of the answers
