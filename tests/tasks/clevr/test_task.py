"""CLEVR's losses, batches and predictions, on masked images and on stored latents, with a small model in float32."""

import functools
import json
import shutil

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from aloe import config, tasks
from aloe.data import latents, masks
from aloe.data.streams import host_batches
from aloe.data.video import read_frames
from aloe.errors import InputError
from aloe.perception import learned
from aloe.tasks.clevr import files, vocabulary
from aloe.tasks.clevr import masks as exact
from aloe.tasks.clevr import task as clevr
from aloe.tasks.clevr.programs import FAMILIES
from aloe.tasks.clevr.task import AUXILIARY, QUESTION, UNSUPERVISED
from aloe.training.evaluation import Evaluator
from tests.tasks.clevr.conftest import resolve
from tests.tasks.gradients import STEP_KEY, keys_for, moved, reached
from tests.tasks.steps import after_steps
from tests.training.test_step import mesh_of

LATENTS = ("paper", "stored")  # variants


@pytest.fixture(scope="module", params=LATENTS)
def task(request, drawn, root):
    return clevr.make(resolve(drawn if request.param == "paper" else root, variant=request.param))


@pytest.fixture(scope="module")
def stored(root):
    return clevr.make(resolve(root, variant="stored"))


@pytest.fixture(scope="module")
def model(task):
    return moved(task)


def first_batch(task):
    return next(host_batches(task.streams(), first_step=0, host=0, hosts=1))


@pytest.fixture(scope="module")
def batch(task):
    return first_batch(task)


def test_the_auxiliary_loss_reaches_f_and_the_transformer_alone(task, model, batch):
    found, every = reached(task, model, batch, auxiliary=1.0)
    assert found == {name for name in every if name.startswith(("tower/", "infill_map/"))}
    assert {"embedding/cls", "embedding/words/embedding"} <= every - found


def test_the_classification_loss_reaches_all_but_f_and_so_the_resnet(task, model, batch):
    found, every = reached(task, model, batch, question=1.0)
    assert found == {name for name in every if not name.startswith("infill_map/")}
    resnet = [name for name in every if name.startswith("perception/")]
    # Three blocks of two convolutions, and a dense layer, each with a bias.
    assert len(resnet) == (2 * (3 * 2 + 1) if task.config.variant == "paper" else 0)


def test_losses_by_hand_without_dropout(root):
    task = clevr.make(resolve(root, {"model.dropout": 0.0}, "stored"))
    batch = first_batch(task)
    # The same object in all slots, so that their order does not matter and predictions agree with `parts`.
    same = {name: rows | {"latents": np.ones_like(rows["latents"])} for name, rows in batch.items()}
    one = task.model(nnx.Rngs(1))
    parts = task.parts(one, same, keys_for(same), STEP_KEY)
    tokens = clevr.question_tokens(one, same[QUESTION]["latents"], same[QUESTION]["question"])
    assert tokens.shape == (16, 1 + vocabulary.QUESTION_LENGTH + 10, 18)
    logits_BxA = np.asarray(one.answer(one.transform(tokens), QUESTION), np.float64)
    chances_BxA = np.exp(logits_BxA) / np.exp(logits_BxA).sum(axis=1, keepdims=True)
    answers = batch[QUESTION]["answer"]
    wanted = np.mean([-np.log(chance_A[answer]) for chance_A, answer in zip(chances_BxA, answers, strict=True)])
    np.testing.assert_allclose(parts[QUESTION].compute(), wanted, rtol=1e-5)
    predicted = task.predict(one, QUESTION, same[QUESTION])
    np.testing.assert_array_equal(predicted, logits_BxA.argmax(axis=1))
    np.testing.assert_allclose(parts["question_accuracy"].compute(), np.mean(predicted == answers))
    assert task.loss_weights == {QUESTION: 1.0, AUXILIARY: 0.01}
    assert {name: float(count) for name, count in task.counts(same).items()} == {QUESTION: 16.0, AUXILIARY: 16.0}


def test_an_example_is_a_question_its_image_and_its_masks(drawn):
    task = clevr.make(resolve(drawn))
    shown = {}
    for index in files.scene_indices(drawn, "train"):
        (image_YxXx3,) = read_frames(files.image_path(drawn, index), [0], (32, 32))
        shown[image_YxXx3.tobytes()] = index
    questions = {
        (image.scene_index, vocabulary.question_ids(question.text).tobytes()): question.answer
        for image in task.images["train"]
        for question in image.questions
    }
    seen = set()
    batches = host_batches(task.streams(), first_step=0, host=0, hosts=1)
    for _, batch in zip(range(12), batches, strict=False):
        assert set(batch) == {QUESTION, UNSUPERVISED}
        assert set(batch[UNSUPERVISED]) == {"question", "answer", "image", "masks"} - {"answer"}
        for name, rows in batch.items():
            for place, image_FxYxXx3 in enumerate(rows["image"]):
                index = shown[image_FxYxXx3[0].tobytes()]
                answer = questions[index, rows["question"][place].tobytes()]
                if name == QUESTION:
                    assert vocabulary.ANSWERS[rows["answer"][place]] == answer
                wanted = masks.pack(exact.by_slot(files.scene_path(drawn, index), [0], 32, 10))
                np.testing.assert_array_equal(rows["masks"][place], wanted)
                seen.add((name, index))
    assert {index for name, index in seen if name == QUESTION} == set(shown.values())


def test_a_slot_sees_its_own_object_and_no_other(drawn):
    """Painting over an object changes only its own latent; pixels outside all masks are not seen."""
    task = clevr.make(resolve(drawn))
    model = task.model(nnx.Rngs(0))
    batch = first_batch(task)[QUESTION]
    latents_BxFxNxD = np.asarray(model.perceive(batch))
    assert latents_BxFxNxD.shape == (16, 1, 10, 16)
    mask_BxFxNxYxX = np.asarray(masks.unpack(batch["masks"], 10))
    number = mask_BxFxNxYxX.any(axis=(1, 3, 4)).sum(axis=1)
    for slot in range(3):  # every image has at least three objects
        painted = np.where(mask_BxFxNxYxX[:, :, slot, ..., None], 255 - batch["image"], batch["image"])
        changed = np.asarray(model.perceive({**batch, "image": painted.astype(np.uint8)}))
        differ_BxN = abs(changed - latents_BxFxNxD).max(axis=(1, 3)) > 1e-6
        assert differ_BxN[:, slot].all()
        assert not np.delete(differ_BxN, slot, axis=1).any()
    behind = np.where(mask_BxFxNxYxX.any(axis=2)[..., None], batch["image"], 0)
    np.testing.assert_array_equal(model.perceive({**batch, "image": behind}), latents_BxFxNxD)
    empty_D = latents_BxFxNxD[number < 10][0, 0, -1]
    for row, count in enumerate(number):
        np.testing.assert_allclose(latents_BxFxNxD[row, 0, count:], np.tile(empty_D, (10 - count, 1)), atol=1e-6)


def test_the_labelled_share_is_of_images_and_the_unsupervised_batch_sees_all(root):
    task = clevr.make(resolve(root, {"data.labelled_fraction": 0.25}, "stored"))
    store = latents.open(root / "latents" / "oracle" / "train")
    by_latents = {store.read(index).tobytes(): index for index in store.scene_indices.tolist()}
    seen = {QUESTION: set(), UNSUPERVISED: set()}
    for _, batch in zip(range(20), host_batches(task.streams(), first_step=0, host=0, hosts=1), strict=False):
        for name, rows in batch.items():
            seen[name] |= {by_latents[np.ascontiguousarray(one).tobytes()] for one in rows["latents"]}
    assert len(seen[QUESTION]) == 10
    assert len(seen[UNSUPERVISED]) == 42


def test_without_the_auxiliary_loss_there_is_no_unsupervised_batch(root):
    task = clevr.make(resolve(root, {"objective.weight": 0.0}, "stored"))
    assert set(task.streams()) == {QUESTION}
    assert set(task.loss_weights) == {QUESTION}
    assert not hasattr(task.model(nnx.Rngs(0)), "infill_map")


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "seen"), [("study", {"latents"}), ("study_masked_frames", {"image", "masks"})])
def test_studies_take_ten_thousand_steps_of_questions_alone(drawn, root, variant, seen):
    resolved = resolve(root if variant == "study" else drawn, variant=variant)
    assert resolved.training.steps == resolved.optimizer.decay_steps == 10_000
    streams = clevr.make(resolved).streams()
    assert set(streams) == {QUESTION}
    assert set(streams[QUESTION].dataset[0]) == {"question", "answer"} | seen


@pytest.mark.parametrize("variant", LATENTS)
def test_devices_and_microbatches_change_nothing(drawn, root, variant):
    """Including dropout, masks and slot orders, which steps draw per example."""
    task = clevr.make(resolve(drawn if variant == "paper" else root, variant=variant))
    batch = first_batch(task)

    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    batches, optimizer = [batch, batch], optax.sgd(0.02)
    one = after_steps(task, batches, optimizer, devices=1)
    jax.tree.map(close, one, after_steps(task, batches, optimizer, devices=4, accumulation=2))


def test_predictions_become_a_table_and_answers_by_question_index(task, model):
    graphdef, params = model
    evaluator = Evaluator(task, graphdef, mesh_of(2), 16)
    predictions, shuffled = (evaluator.predictions(params, "validation", shuffled=each) for each in (False, True))
    questions = task.questions("validation")
    assert predictions[QUESTION].shape == (len(questions),)
    assert set(predictions[QUESTION].tolist()) <= set(range(28))
    table, controls = task.comparison("validation")(predictions, shuffled)
    assert set(controls) == {"shuffled", "majority"}
    for word in ("accuracy", *FAMILIES, "majority", "shuffled"):
        assert word in table

    handed_in = json.loads(json.dumps(task.submission("validation", predictions)))
    assert len(handed_in) == len(questions)
    for record, answer in zip(questions, predictions[QUESTION], strict=True):
        assert handed_in[str(record.question.question_index)] == vocabulary.ANSWERS[answer]
    right = {QUESTION: np.array([vocabulary.ANSWER_IDS[record.question.answer] for record in questions])}
    assert set(task.scores("validation", right).values()) == {100.0}
    with pytest.raises(InputError, match="--hard: the table has every family and group"):
        task.comparison("validation", hard=True)


def test_the_shuffled_control_sees_another_image_and_keeps_question_and_answer(stored, root):
    store = latents.open(root / "latents" / "oracle" / "validation")
    own = stored.evaluation("validation")[QUESTION]
    other = stored.evaluation("validation", shuffled=True)[QUESTION]
    for place, record in enumerate(stored.questions("validation")):
        np.testing.assert_array_equal(own[place]["latents"], store.read(record.scene_index))
        assert not np.array_equal(other[place]["latents"], own[place]["latents"])
        for field in ("question", "answer"):
            np.testing.assert_array_equal(own[place][field], other[place][field])
        assert vocabulary.ANSWERS[own[place]["answer"]] == record.question.answer


@pytest.mark.parametrize(
    ("variant", "overrides", "message"),
    [
        ("stored", {"data.latents": "/nowhere/latents"}, r"/nowhere/latents/train: there is no latents store"),
        ("stored", {"model.slots": 8}, r"latents of shape \(1, 10, 16\).*model takes \(1, 8, 16\)"),
        ("stored", {"model.frames": 2}, r"config.model.frames = 2: an image is a video of 1 frame"),
        ("stored", {"data.labelled_fraction": 0.0}, r"config.data.labelled_fraction = 0.0"),
        ("paper", {}, r"train_exact_masks.json: there are no such masks. Write them anew, with python launch/masks.py"),
        ("paper", {"data.masks": "proposals"}, r"train_proposals_masks.json: there are no such masks"),
        ("paper", {"perception.kind": "superpixels"}, r"config.model.slots = 10: 3 blocks make 4×4 superpixels"),
        ("paper", {"perception.kind": "pixels"}, r"perception.kind is 'pixels'"),
        ("paper", {"perception.size": 30}, r"perception.size is 30 and perception.blocks 3"),
        (
            "paper",
            {"data.frames_per_video": 2},
            r"config.data.frames_per_video = 2: give a number from .* 1, to the 1 f",
        ),
    ],
)
def test_what_does_not_fit_is_named_before_anything_is_compiled(root, compiled, variant, overrides, message):
    with pytest.raises(InputError, match=message):
        clevr.make(resolve(root, overrides, variant)).streams()
    assert not compiled


def test_an_image_that_is_missing_stops_a_small_set(drawn, tmp_path, compiled):
    folder = shutil.copytree(drawn, tmp_path / "clevr")
    files.image_path(folder, 3).unlink()
    for path in (folder / "frames").rglob("*_frames.*"):
        path.unlink()
    with pytest.raises(InputError, match="1 of 14 videos of the train split are missing or broken"):
        clevr.make(resolve(folder))
    assert not compiled


def test_superpixels_can_be_carried_over_to_videos():
    """All parameters of the ResNet have the names, shapes and dtypes of CLEVRER's variant (paper §3.1)."""

    def shapes(name):
        task, resolved = tasks.part(name, "task"), config.resolve(name, "superpixels", {})
        perception, model = task.perception_config(resolved), task.model_config(resolved)
        made = nnx.eval_shape(lambda: learned.make(perception, model, rngs=nnx.Rngs(0)))
        return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), nnx.to_pure_dict(nnx.state(made, nnx.Param)))

    assert shapes("clevr") == shapes("clevrer")


def test_paper_sizes_are_those_of_the_appendix():
    paper = config.resolve("clevr", "paper", {})
    assert clevr.model_config(paper).tokens == 59
    assert clevr.model_config(paper).width == 180
    perception = clevr.perception_config(paper)
    assert (perception.kind, perception.blocks) == ("masked_frames", 3)
    shapes = nnx.eval_shape(lambda: learned.make(perception, clevr.model_config(paper), rngs=nnx.Rngs(0)))
    assert len(shapes.resnet.blocks) == 3
    assert clevr.model_config(paper).outputs == {QUESTION: 28}
