"""MONet's batches, losses and measures; what it refuses; the same loop, checkpoints and resuming as any task."""

import json
import re

import jax
import numpy as np
import pytest
from flax import nnx

from aloe import config as configs
from aloe.data.streams import host_batches
from aloe.errors import InputError
from aloe.perception.monet import losses
from aloe.perception.monet.model import Monet, colors
from aloe.tasks.clevrer import files, masks
from aloe.tasks.monet import task as monet
from aloe.tasks.monet.config import VARIANTS
from aloe.training import loop, workdir
from aloe.training.evaluation import Evaluator
from aloe.training.optimizer import make_optimizer
from aloe.training.state import initial_state, model_structure
from aloe.training.step import data_mesh, train_step
from tests.perception.monet.cases import log_mask_of
from tests.tasks.monet.squares import settings


def first_batch(task):
    return next(host_batches(task.streams(), first_step=0, host=0, hosts=1))


@pytest.fixture(scope="module")
def state(task):
    return initial_state(task.model(nnx.Rngs(0)), make_optimizer(task.config.optimizer))


@pytest.fixture(scope="module")
def predictions(task, state):
    return Evaluator(task, model_structure(task), data_mesh(), 16).predictions(state.params, "validation")


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_makes_a_model(squares, variant):
    resolved = configs.resolve("monet", variant, {"data.frames_per_video": "2"})
    resolved.data.root = str(squares)
    task = monet.make(resolved)
    assert nnx.eval_shape(lambda: task.model(nnx.Rngs(0))).config.slots == 8
    assert make_optimizer(resolved.optimizer)


def test_a_batch_is_frames_of_the_training_videos(task):
    image = first_batch(task)["frames"]["image"]
    assert (image.shape, image.dtype) == ((16, 16, 16, 3), np.uint8)
    known = {frame.tobytes() for frame in task.stores["train"]}
    assert {frame.tobytes() for frame in image} <= known


def test_frames_are_decoded_once(task, squares, monkeypatch):
    monkeypatch.setattr(monet.frames, "decode", None)
    again = monet.make(settings(squares))
    np.testing.assert_array_equal(again.stores["validation"][5], task.stores["validation"][5])


def test_parts_are_the_losses_and_their_weights_beta_and_gamma(task, state):
    assert task.loss_weights == {"reconstruction": 1.0, "latent_divergence": 0.5, "mask_divergence": 0.5}
    model = nnx.merge(model_structure(task), state.params)
    batch = jax.tree.map(jax.numpy.asarray, first_batch(task))
    keys = {"frames": jax.random.split(jax.random.key(3), 16)}
    parts = task.parts(model, batch, keys, jax.random.key(0))
    noise = np.stack([jax.random.normal(key, (3, 8)) for key in keys["frames"]])
    image = colors(batch["frames"]["image"])
    slots = model(image, noise)
    expected = {
        "reconstruction": losses.reconstruction(image, slots, 0.09, 0.11),
        "latent_divergence": losses.latent_divergence(slots),
        "mask_divergence": losses.mask_divergence(slots),
    }
    for name, value_B in expected.items():
        assert float(parts[name].total) == pytest.approx(float(np.sum(value_B)), rel=1e-4)
        assert float(task.counts(batch)[name]) == float(parts[name].count) == 16


def test_a_step_on_one_device_is_that_on_eight(task, state):
    """Instance normalization and noise are per example: nothing depends on what else is in a device's batch."""
    batch = first_batch(task)
    after = []
    for devices in (1, 8):
        mesh = data_mesh(jax.devices()[:devices])
        optimizer = make_optimizer(task.config.optimizer)
        step = train_step(task, model_structure(task), optimizer, mesh, seed=0)
        new, parts = step(jax.tree.map(jax.numpy.array, state), batch)
        means = {name: float(part.total / part.count) for name, part in parts.items()}
        after.append((jax.device_get(new.params), means))
    (of_one, means_of_one), (of_eight, means_of_eight) = after
    assert means_of_one == pytest.approx(means_of_eight, rel=1e-4)
    moved = jax.tree.leaves(jax.tree.map(lambda x, y: np.abs(x - y).max(), of_one, jax.device_get(state.params)))
    apart = jax.tree.leaves(jax.tree.map(lambda x, y: np.abs(x - y).max(), of_one, of_eight))
    assert max(apart) < 1e-3 * min(moved)


def test_the_frames_of_an_evaluation_are_spread_over_the_split(task):
    assert task.places("validation") == list(range(0, 128, 4))
    groups = task.evaluation("validation")
    assert {name: len(group) for name, group in groups.items()} == {"frames": 32, "pictures": 8}
    np.testing.assert_array_equal(groups["frames"][3]["image"], task.stores["validation"][12])


def test_noise_of_an_evaluation_is_drawn_for_each_frame_by_its_place(task, state):
    """A single draw for all frames would be a bias that no number of frames averages out."""
    model, predict = nnx.merge(model_structure(task), state.params), nnx.jit(task.predict, static_argnames="group")
    dataset = task.evaluation("validation")["frames"]
    assert [int(dataset[number]["place"]) for number in range(len(dataset))] == task.places("validation")

    def told(places):
        rows = [dataset[0] | {"place": np.int32(place)} for place in places]
        return np.asarray(
            predict(model, group="frames", batch={name: np.stack([row[name] for row in rows]) for name in rows[0]})
        )

    one = told([8, 4, 8, 12])
    np.testing.assert_allclose(one[0], one[2], rtol=1e-6)
    np.testing.assert_allclose(one[[1, 0]], told([4, 8, 16, 20])[:2], rtol=1e-6)
    drawn = [monet.OF_SLOTS.index(name) for name in ("reconstruction", "squared_error")]
    assert all(len(np.unique(one[[0, 1, 3], column])) == 3 for column in drawn)
    of_masks = monet.OF_SLOTS.index("mask_entropy")
    np.testing.assert_allclose(one[:, of_masks], one[0, of_masks], rtol=1e-6)


def test_without_exact_masks_scores_are_those_that_need_none(task, predictions):
    assert predictions["frames"].shape == (32, 14)
    assert np.all(np.isfinite(predictions["frames"][:, :7]))
    assert np.all(np.isnan(predictions["frames"][:, 7:]))
    assert set(task.scores("validation", predictions)) == {"explained"}
    diagnosis = task.diagnosis("validation", predictions)
    assert {"loss", "explained", "mask_entropy", "slots_used"} <= diagnosis.numbers.keys()
    assert "foreground_ari" not in diagnosis.numbers
    assert np.all(np.isfinite(list(diagnosis.numbers.values())))
    assert diagnosis.pictures["slots"].shape == (8 * 16, 6 * 16, 3)
    assert any("all background" in alarm or "one slot" in alarm for alarm in diagnosis.alarms)


def test_explained_is_1_for_the_frames_themselves_and_0_for_their_mean_picture(task, predictions):
    images = np.stack([task.stores["validation"][place] for place in task.places("validation")]) / 255.0
    of_mean = ((images - images.mean(0)) ** 2).sum((1, 2, 3))
    for error, explained in ((0.0, 100.0), (of_mean, 0.0)):
        changed = {**predictions, "frames": predictions["frames"].copy()}
        changed["frames"][:, monet.OF_SLOTS.index("squared_error")] = error
        assert task.scores("validation", changed)["explained"] == pytest.approx(explained, abs=1e-3)


@pytest.fixture(scope="module")
def of_world(drawn_world):
    return monet.make(settings(drawn_world, {"data.evaluation_frames": 16, "data.frames_per_video": 32}))


def test_a_world_has_exact_masks_of_the_very_frames(of_world, drawn_world):
    dataset = of_world.evaluation("validation")["frames"]
    store, places = of_world.stores["validation"], of_world.places("validation")
    paths = files.find_annotations(drawn_world)
    for number in (0, 7, 15):
        video, frame = store.place(places[number])
        exact = masks.exact(paths[store.scene_indices[video]], [store.frame_numbers[frame]], 16)
        np.testing.assert_array_equal(dataset[number]["object"], exact.object_FxYxX[0])
        np.testing.assert_array_equal(dataset[number]["image"], store[places[number]])


def test_slots_that_are_the_exact_masks_have_an_index_of_1(of_world):
    """Tests `predict`, with a model whose masks are replaced by the exact ones."""
    dataset = of_world.evaluation("validation")["frames"]
    rows = [dataset[number] for number in range(16)]
    batch = {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    class Perfect(Monet):
        def __call__(self, image, noise=None):
            slots = super().__call__(image, noise)
            log_mask = log_mask_of(batch["object"].astype(int) + 1, slots.log_mask_BxNxYxX.shape[1])
            return slots._replace(log_mask_BxNxYxX=log_mask)

    resolved = settings(of_world.root, {"model.slots": 8, "data.evaluation_frames": 16, "data.frames_per_video": 32})
    task = monet.make(resolved)
    told = np.asarray(
        nnx.jit(task.predict, static_argnames="group")(
            Perfect(task.model_config, rngs=nnx.Rngs(0)), group="frames", batch=batch
        )
    )
    pictures = np.zeros((8, 16, 176, 3), np.uint8)
    numbers = task.numbers("validation", {"frames": told, "pictures": pictures})
    assert numbers["foreground_ari"] == pytest.approx(1)
    assert numbers["in_background"] == 0
    assert numbers.get("alike_merged", 0) == numbers["unlike_merged"] == 0


def test_shuffled_masks_are_those_of_another_frame(of_world):
    straight, shuffled = (of_world.evaluation("validation", shuffled=each)["frames"] for each in (False, True))
    np.testing.assert_array_equal(shuffled[5]["image"], straight[5]["image"])
    np.testing.assert_array_equal(shuffled[5]["object"], straight[4]["object"])


def test_the_table_stands_beside_chance(of_world):
    state = initial_state(of_world.model(nnx.Rngs(0)), make_optimizer(of_world.config.optimizer))
    evaluator = Evaluator(of_world, model_structure(of_world), data_mesh(), 16)
    straight, shuffled = (evaluator.predictions(state.params, "validation", shuffled=each) for each in (False, True))
    compared = of_world.comparison("validation")(straight, shuffled)
    assert re.search(r"foreground_ari +-?0\.\d+ +-?[0-9.e-]+", compared.table)
    assert set(compared.controls["shuffled"]) == {"explained", "foreground_ari"}
    with pytest.raises(InputError, match="--hard"):
        of_world.comparison("validation", hard=True)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"loss.background_sigma": 0.0}, r"config.loss.background_sigma = 0.0: give a deviation above 0"),
        ({"loss.gamma": -1.0}, r"config.loss.gamma = -1.0: give a weight of 0 or more"),
        ({"data.frames_per_video": 129}, r"frames_per_video = 129: a video has 128 frames"),
        ({"data.evaluation_frames": 0}, r"evaluation_frames = 0: give a number of at least 2"),
        ({"data.source": "clever"}, r"config.data.source = 'clever': no such choice; did you mean clevrer\?"),
        ({"data.source": "monet"}, r"config.data.source = 'monet': no such choice"),
        ({"model.size": 20}, r"model.size is 20; give a power of two"),
        ({"model.slots": 1}, r"model.slots is 1; give a whole number of at least 2"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_decoded(squares, overrides, message):
    before = set(squares.rglob("*"))
    with pytest.raises(InputError, match=message):
        monet.make(settings(squares, overrides))
    assert set(squares.rglob("*")) == before


def test_a_world_without_videos_is_refused(tmp_path, squares):
    for split in ("train", "validation"):
        (tmp_path / f"{split}.json").write_bytes((squares / f"{split}.json").read_bytes())
    with pytest.raises(InputError, match="no video of scene_index 0"):
        monet.make(settings(tmp_path))


def run(squares, folder, stop=lambda step: False):
    training = {"steps": 4, "log_every": 1, "evaluate_every": 2, "checkpoint_every_steps": 2}
    resolved = settings(squares, {f"training.{name}": value for name, value in training.items()})
    resolved.workdir = str(folder)
    return loop.run(resolved.to_dict(), stop=stop)


@pytest.mark.slow
def test_a_run_that_is_stopped_goes_on_as_if_it_had_not_been(squares, tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    run(squares, whole)
    assert run(squares, halves, stop=lambda step: step == 2)["stopped"]
    run(squares, halves)
    one, other = (
        [json.loads(line) for line in (folder / workdir.METRICS).read_text().splitlines()] for folder in (whole, halves)
    )
    losses_of = [{line["step"]: line["loss"] for line in lines if "loss" in line} for lines in (one, other)]
    assert losses_of[0] == losses_of[1]
    assert list(losses_of[0]) == [1, 2, 3, 4]
    assert one[-1]["validation/explained"] == other[-1]["validation/explained"]
    events = [json.loads(line) for line in (whole / workdir.EVENTS).read_text().splitlines()]
    assert any(event["event"] == "alarm" for event in events)
    written = b"".join(path.read_bytes() for path in (whole / workdir.TENSORBOARD).iterdir())
    assert b"slots" in written
    assert b"PNG" in written
