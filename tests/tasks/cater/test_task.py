"""CATER's losses, batches and predictions, on a small world and a small model in float32."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from aloe.config import resolve
from aloe.data import latents
from aloe.data.streams import host_batches
from aloe.errors import InputError
from aloe.tasks.cater import config, files
from aloe.tasks.cater import task as cater
from aloe.tasks.cater.files import CAMERAS
from aloe.tasks.cater.task import AUXILIARY, CELL, DISTANCE, UNSUPERVISED
from aloe.training.evaluation import Evaluator
from tests.tasks.gradients import STEP_KEY, keys_for, moved, reached
from tests.tasks.steps import after_steps
from tests.training.test_step import mesh_of


@pytest.fixture(scope="module")
def task(settings):
    return cater.make(settings({"loss.distance": 0.5}))


@pytest.fixture(scope="module")
def model(task):
    return moved(task)


@pytest.fixture(scope="module")
def batch(task):
    return next(host_batches(task.streams(), first_step=0, host=0, hosts=1))


def test_the_auxiliary_loss_reaches_f_and_the_transformer_alone(task, model, batch):
    found, every = reached(task, model, batch, auxiliary=1.0)
    assert found == {name for name in every if name.startswith(("tower/", "infill_map/"))}
    assert "embedding/cls" in every - found


@pytest.mark.parametrize("part", [CELL, DISTANCE])
def test_supervised_losses_reach_all_but_f(task, model, batch, part):
    found, every = reached(task, model, batch, **{part: 1.0})
    assert found == {name for name in every if not name.startswith("infill_map/")}
    assert {name.split("/")[1] for name in every if name.startswith("heads/")} == {CELL}


def test_losses_by_hand_without_dropout(settings, batch):
    task = cater.make(settings({"model.dropout": 0.0, "loss.distance": 0.5}))
    # All latents are equal: then the order of slots does not matter, and predictions agree with those in `parts`.
    same = {name: rows | {"latents": np.ones_like(rows["latents"])} for name, rows in batch.items()}
    one = task.model(nnx.Rngs(1))
    parts = task.parts(one, same, keys_for(same), STEP_KEY)
    surprises, apart = [], []
    for camera in CAMERAS:
        logits_BxA = np.asarray(task.predict(one, camera, same[camera]), np.float64)
        chances_BxA = np.exp(logits_BxA) / np.exp(logits_BxA).sum(axis=1, keepdims=True)
        labels = batch[camera]["label"]
        for chance_A, label in zip(chances_BxA, labels, strict=True):
            surprises.append(-np.log(chance_A[label]))
            apart.append(sum(p * (abs(a % 6 - label % 6) + abs(a // 6 - label // 6)) for a, p in enumerate(chance_A)))
        found = parts[f"{camera}_accuracy"].compute()
        np.testing.assert_allclose(found, np.mean(logits_BxA.argmax(axis=1) == labels))
    np.testing.assert_allclose(parts[CELL].compute(), np.mean(surprises), rtol=1e-5)
    np.testing.assert_allclose(parts[DISTANCE].compute(), np.mean(apart), rtol=1e-5)
    assert task.loss_weights == {CELL: 1.0, DISTANCE: 0.5, AUXILIARY: 2.0}
    assert {name: float(count) for name, count in task.counts(same).items()} == dict.fromkeys(task.loss_weights, 16.0)


def test_the_expected_distance_is_the_metric_where_the_model_is_sure_and_falls_along_its_gradient():
    label_B = jnp.array([14, 35])
    sure_BxA = 100 * jax.nn.one_hot(jnp.array([0, 35]), 36)
    np.testing.assert_allclose(cater.expected_distance(sure_BxA, label_B), [4, 0], atol=1e-5)

    def loss(logits_BxA):
        return cater.expected_distance(logits_BxA, label_B).sum()

    logits_BxA = jax.random.normal(jax.random.key(0), (2, 36))
    # The logit of a cell nearer than expected should rise, that of a farther one should fall.
    gradient_BxA = jax.grad(loss)(logits_BxA)
    distance_BxA = np.array([[abs(a % 6 - b % 6) + abs(a // 6 - b // 6) for a in range(36)] for b in (14, 35)])
    expected_B = np.asarray(cater.expected_distance(logits_BxA, label_B))
    assert (np.sign(gradient_BxA) == np.sign(distance_BxA - expected_B[:, None])).all()


def video_of(store, latents_FxNxD):
    """The video and the frame numbers that stored latents come from."""
    for index in store.scene_indices.tolist():
        frames = {frame.tobytes(): number for number, frame in enumerate(store.read(index))}
        if latents_FxNxD[0].tobytes() in frames:
            return index, [frames[frame.tobytes()] for frame in latents_FxNxD]
    raise AssertionError("of no video")


def test_examples_are_frames_in_order_of_videos_of_their_camera(task, root):
    store = latents.open(root / "latents" / "oracle" / "train")
    labels = {video.scene_index: video.label for video in files.read_videos(root, "train")}
    seen = {name: set() for name in (*CAMERAS, UNSUPERVISED)}
    for batch in itertools.islice(host_batches(task.streams(), first_step=0, host=0, hosts=1), 4):
        assert set(batch) == set(seen)
        assert set(batch[UNSUPERVISED]) == {"latents"}
        for name, rows in batch.items():
            for number, latents_FxNxD in enumerate(rows["latents"]):
                index, frames = video_of(store, latents_FxNxD)
                assert frames == sorted(set(frames))
                assert len(frames) == 6
                if name in CAMERAS:
                    assert files.camera_of(index) == name
                    assert rows["label"][number] == labels[index]
                seen[name].add(index)
    assert {files.camera_of(index) for index in seen[UNSUPERVISED]} == set(CAMERAS)
    assert len(seen["static"]) == len(seen["moving"]) == 21


def test_an_evaluation_sees_the_first_frame_and_the_last(task, root):
    store = latents.open(root / "latents" / "oracle" / "validation")
    own, other = (task.evaluation("validation", shuffled=each) for each in (False, True))
    for camera in CAMERAS:
        for place, video in enumerate(task.videos["validation"][camera]):
            index, frames = video_of(store, own[camera][place]["latents"])
            assert index == video.scene_index
            assert frames == [0, 60, 120, 179, 239, 299]
            shuffled, _ = video_of(store, other[camera][place]["latents"])
            assert shuffled != index
            assert files.camera_of(shuffled) == camera
            assert own[camera][place]["label"] == other[camera][place]["label"] == video.label


def test_labelled_shares_are_nested_and_the_unsupervised_batch_sees_all(settings, root):
    seen = {}
    for fraction in (0.25, 0.5):
        task = cater.make(settings({"data.labelled_fraction": fraction}))
        streams = task.streams()
        seen[fraction] = {
            name: {streams[name].dataset[place]["latents"].shape for place in range(3)} for name in streams
        }
        labelled = {
            camera: {
                video_of(task.examples["train"].latents, streams[camera].dataset[place]["latents"])[0]
                for place in range(24)
            }
            for camera in CAMERAS
        }
        assert [len(each) for each in labelled.values()] == [round(fraction * 21)] * 2
        if fraction == 0.25:
            smaller = labelled
        unsupervised = streams[UNSUPERVISED].dataset
        assert len({unsupervised[place]["latents"].tobytes() for place in range(42)}) == 42
    for camera in CAMERAS:
        assert smaller[camera] < labelled[camera]


def test_tuning_trains_and_validates_on_parts_of_the_training_list(settings, root):
    task = cater.make(settings({"data.tuning": True}))
    for split in files.SPLITS:
        for camera in CAMERAS:
            assert task.videos[split][camera] == files.read_videos(root, split, tuning=True, cameras=(camera,))
    assert len(task.evaluation("validation")["static"]) == 4


def test_one_camera_alone(settings):
    task = cater.make(settings({"data.cameras": "moving", "objective.weight": 0.0}))
    assert set(task.streams()) == {"moving"}
    assert set(task.loss_weights) == {CELL}
    assert set(task.evaluation("validation")) == {"moving"}
    assert not hasattr(task.model(nnx.Rngs(0)), "infill_map")


@pytest.mark.slow
def test_devices_and_microbatches_change_nothing(settings, batch):
    """Even with dropout, masks and slot orders, which the steps draw per example."""
    task = cater.make(settings({"objective.weight": 0.01, "loss.distance": 0.5}))

    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    batches, optimizer = [batch, batch], optax.sgd(0.02)
    one = after_steps(task, batches, optimizer, devices=1)
    jax.tree.map(close, one, after_steps(task, batches, optimizer, devices=4, accumulation=2))


def test_predictions_become_a_table_and_lists(task, model, root, tmp_path):
    graphdef, params = model
    evaluator = Evaluator(task, graphdef, mesh_of(2), 16)
    predictions, shuffled = (evaluator.predictions(params, "validation", shuffled=each) for each in (False, True))
    assert {name: each.shape for name, each in predictions.items()} == dict.fromkeys(CAMERAS, (9, 36))
    for hard in (False, True):
        table, told = task.comparison("validation", hard=hard)(predictions, shuffled)
        assert set(told) == {"shuffled", "majority", "last seen"}
        assert set(told["majority"]) == {f"{camera}{what}" for camera in CAMERAS for what in ("", "_top5", "_l1")}
        assert ("seen at the end" in table) == hard
    numbers = task.diagnosis("validation", predictions).numbers
    assert set(numbers) == {"static_l1", "moving_l1"}

    lines = task.submission("validation", predictions).splitlines()
    for camera, folder in files.camera_folders(root).items():
        path = tmp_path / f"{camera}.txt"
        path.write_text("".join(f"{line}\n" for line in lines if line.startswith(f"{folder.name}/")))
        videos, wrong = files.parse_list(path, camera)
        assert wrong == []
        assert [video.label for video in videos] == predictions[camera].argmax(axis=1).tolist()
        official = files.read_videos(root, "validation", cameras=(camera,))
        assert [video.scene_index for video in videos] == [video.scene_index for video in official]
    right = {camera: np.eye(36)[[video.label for video in task.videos["validation"][camera]]] for camera in CAMERAS}
    assert set(task.scores("validation", right).values()) == {100.0}


def test_without_scenes_there_is_no_last_seen_and_hard_is_refused(settings, root, tmp_path):
    for name in ("latents", "all_actions_cameramotion"):
        (tmp_path / name).symlink_to(root / name)
    (tmp_path / "all_actions").mkdir()
    (tmp_path / "all_actions" / "lists").symlink_to(root / "all_actions" / "lists")
    resolved = settings()
    resolved.data.root = str(tmp_path)
    task = cater.make(resolved)
    logits = {camera: np.zeros((9, 36)) for camera in CAMERAS}
    table, told = task.comparison("validation")(logits, logits)
    assert set(told) == {"shuffled", "majority"}
    assert "No column of where the snitch was last seen" in table
    with pytest.raises(InputError, match=r"no scenes/CATER_new_\d+.json of the static camera, and 8 more are missing"):
        task.comparison("validation", hard=True)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"data.latents": "/nowhere/latents"}, r"/nowhere/latents/train: there is no latents store"),
        ({"model.slots": 7}, r"latents of shape \(300, 8, 36\).*model takes \(300, 7, 36\)"),
        ({"model.latent": 16}, r"\(300, 8, 36\).*\(300, 8, 16\)"),
        ({"model.frames": 301}, r"config.model.frames = 301: a video has 300 frames"),
        ({"data.labelled_fraction": 0.0}, r"config.data.labelled_fraction = 0.0"),
        ({"data.cameras": "statik"}, r"config.data.cameras = 'statik': no such choice; did you mean static"),
        ({"loss.distance": -1.0}, r"config.loss.distance = -1.0"),
    ],
)
def test_what_does_not_fit_is_named_before_anything_is_compiled(settings, compiled, overrides, message):
    with pytest.raises(InputError, match=message):
        cater.make(settings(overrides)).streams()
    assert not compiled


def test_a_camera_without_videos_is_named(settings, root, tmp_path, compiled):
    for name in ("latents", "all_actions"):
        (tmp_path / name).symlink_to(root / name)
    resolved = settings()
    resolved.data.root = str(tmp_path)
    with pytest.raises(InputError, match=r"no videos of the moving camera .*--config.data.cameras=static"):
        cater.make(resolved)
    resolved.data.cameras = "static"
    assert set(cater.make(resolved).streams()) == {"static", UNSUPERVISED}
    assert not compiled


def test_paper_sizes_are_those_of_its_table():
    resolved = resolve("cater", "paper", {})
    sizes = cater.model_config(resolved)
    model = nnx.eval_shape(lambda: cater.Aloe(sizes, rngs=nnx.Rngs(0)))
    assert (sizes.layers, sizes.heads, sizes.latent, sizes.slots) == (16, 8, 36, 8)
    assert sizes.tokens == 641
    assert model.heads[CELL].hidden.kernel.shape[1] == 144
    assert model.heads[CELL].logits.kernel.shape == (144, 36)
    assert resolved.batch.static == resolved.batch.moving == 128
    optimizer = resolved.optimizer
    assert (optimizer.learning_rate, optimizer.warmup_steps, optimizer.decay_steps) == (2e-3, 4_000, 50_000)
    assert (optimizer.final_learning_rate, optimizer.weight_decay, resolved.objective.weight) == (2e-7, 0.01, 2.0)


@pytest.mark.parametrize("variant", config.VARIANTS)
def test_every_variant_makes_a_model(variant):
    resolved = resolve("cater", variant, {})
    assert cater.model_config(resolved).infill == bool(resolved.objective.weight)
    assert (resolved.loss.distance > 0) == (variant in ("l1", "quickstart", "study"))
