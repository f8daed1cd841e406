"""CLEVRER's losses, batches and predictions, on a small world and a small model in float32."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from aloe.data import latents
from aloe.data.streams import host_batches
from aloe.model.aloe import Aloe
from aloe.tasks.clevrer import task as clevrer
from aloe.tasks.clevrer import vocabulary
from aloe.tasks.clevrer.task import AUXILIARY, CHOICE, DESCRIPTIVE, UNSUPERVISED
from aloe.training.evaluation import Evaluator
from tests.tasks.clevrer.encoded import settings
from tests.tasks.steps import after_steps
from tests.training.test_step import mesh_of

STEP_KEY = jax.random.key(77)


@pytest.fixture(scope="module")
def batch(task):
    return next(host_batches(task.streams(), first_step=0, host=0, hosts=1))


def keys_for(batch, seed=0):
    return {
        name: jax.random.split(jax.random.fold_in(jax.random.key(seed), number), len(stream["latents"]))
        for number, (name, stream) in enumerate(sorted(batch.items()))
    }


def loss_and_parts(task, graphdef, params, batch, weights):
    """Computed as the training step does for one shard."""
    parts = task.parts(nnx.merge(graphdef, params), batch, keys_for(batch), STEP_KEY)
    counts = task.counts(batch)
    return sum(weights[name] * parts[name].total / counts[name] for name in weights), parts


@functools.cache
def compiled_gradient(task, graphdef):
    return jax.jit(jax.value_and_grad(functools.partial(loss_and_parts, task, graphdef), has_aux=True))


def gradient(task, model, batch, **weights):
    """The loss, its parts, and its gradient by parameter."""
    graphdef, params = model
    weights = {name: weights.get(name, 0.0) for name in task.loss_weights}
    (loss, parts), grads = compiled_gradient(task, graphdef)(params, batch, weights)
    return jax.device_get(loss), jax.device_get(parts), jax.device_get(nnx.to_pure_dict(grads))


def norms(tree):
    flat, _ = jax.tree.flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.linalg.norm(leaf) for path, leaf in flat}


def assert_equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


LANGUAGE = ("embedding/cls", "embedding/words/embedding")


def test_the_auxiliary_loss_reaches_f_and_the_transformer_alone(task, model, batch):
    loss, _, grads = gradient(task, model, batch, auxiliary=1.0)
    assert loss > 0
    reached = {name for name, norm in norms(grads).items() if norm != 0}
    everything = set(norms(grads))
    assert reached == {name for name in everything if name.startswith(("tower/", "infill_map/"))}
    assert everything - reached == {*LANGUAGE} | {name for name in everything if name.startswith("heads/")}


def test_without_the_stop_the_auxiliary_loss_would_reach_words_and_cls(task, model, batch, monkeypatch):
    tokens = Aloe.tokens
    monkeypatch.setattr(
        Aloe, "tokens", lambda self, *args, **kwargs: tokens(self, *args, **kwargs | {"stop_language_gradient": False})
    )
    graphdef, params = model
    weights = {DESCRIPTIVE: 0.0, CHOICE: 0.0, AUXILIARY: 1.0}
    loss = functools.partial(loss_and_parts, task, graphdef)  # `compiled_gradient` may have cached the stop
    grads = norms(nnx.to_pure_dict(jax.jit(jax.grad(loss, has_aux=True))(params, batch, weights)[0]))
    assert all(grads[name] > 1e-6 for name in LANGUAGE)


def test_the_supervised_losses_reach_words_and_cls_and_their_own_head(task, model, batch):
    for mine, other in ((DESCRIPTIVE, CHOICE), (CHOICE, DESCRIPTIVE)):
        grads = norms(gradient(task, model, batch, **{mine: 1.0})[2])
        assert all(grads[name] > 0 for name in LANGUAGE)
        assert all((grads[f"heads/{mine}/{layer}/kernel"] > 0) for layer in ("hidden", "logits"))
        assert all(norm == 0 for name, norm in grads.items() if name.startswith((f"heads/{other}/", "infill_map")))


def test_absent_choices_move_neither_loss_nor_gradient_nor_metric(task, model, batch):
    exists = batch[CHOICE]["exists"]
    assert not exists.all()
    rng = np.random.default_rng(0)
    others = batch[CHOICE] | {
        "choices": np.where(exists[..., None], batch[CHOICE]["choices"], rng.integers(1, 82, (*exists.shape, 12))),
        "correct": np.where(exists, batch[CHOICE]["correct"], rng.random(exists.shape) < 0.5),
    }
    weights = {DESCRIPTIVE: 1.0, CHOICE: 1.0, AUXILIARY: 0.01}
    assert_equal(gradient(task, model, batch, **weights), gradient(task, model, batch | {CHOICE: others}, **weights))
    # Changed labels do matter where choices exist.
    swapped = batch[CHOICE] | {"correct": ~batch[CHOICE]["correct"]}
    assert gradient(task, model, batch | {CHOICE: swapped}, **weights)[0] != gradient(task, model, batch, **weights)[0]


def test_losses_and_accuracies_by_hand(root, batch):
    """Cross entropy over answers, binary cross entropy over choices that exist, without dropout."""
    task = clevrer.make(settings(root, {"model.dropout": 0.0}))
    graphdef, params = nnx.split(task.model(nnx.Rngs(1)), nnx.Param)
    # All latents are equal: then the order of slots does not matter, and predictions agree with those in `parts`.
    same = {name: rows | {"latents": np.ones_like(rows["latents"])} for name, rows in batch.items()}
    parts_of = jax.jit(lambda params: task.parts(nnx.merge(graphdef, params), same, keys_for(same), STEP_KEY))
    parts = parts_of(params)
    one = nnx.merge(graphdef, params)
    logits_BxA = one.answer(one.transform(clevrer.descriptive_tokens(one, same[DESCRIPTIVE])), DESCRIPTIVE)
    logits_BxC = np.asarray(task.predict(one, CHOICE, same[CHOICE]), np.float64)
    answers, exists, correct = same[DESCRIPTIVE]["answer"], same[CHOICE]["exists"], same[CHOICE]["correct"]

    chances_BxA = np.exp(np.asarray(logits_BxA, np.float64))
    chances_BxA /= chances_BxA.sum(axis=1, keepdims=True)
    cross_entropy = [-np.log(chance_A[answer]) for chance_A, answer in zip(chances_BxA, answers, strict=True)]
    binary = [
        np.log1p(np.exp(-logit if label else logit))
        for logit, label, there in zip(logits_BxC.flat, correct.flat, exists.flat, strict=True)
        if there
    ]
    np.testing.assert_allclose(parts[DESCRIPTIVE].compute(), np.mean(cross_entropy), rtol=1e-5)
    np.testing.assert_allclose(parts[CHOICE].compute(), np.mean(binary), rtol=1e-5)
    assert parts["descriptive_accuracy"].compute() == np.mean(np.argmax(logits_BxA, axis=1) == answers)
    assert parts["option_accuracy"].compute() == np.mean((logits_BxC >= 0)[exists] == correct[exists])
    undecided = jax.tree.map(jnp.zeros_like, params)
    assert parts_of(undecided)["option_accuracy"].compute() == np.mean(correct[exists])  # a logit of 0 says "correct"
    counts = {name: float(count) for name, count in task.counts(same).items()}
    assert counts == {name: float(parts[name].count) for name in counts}


@pytest.fixture(scope="module")
def on_one_device(task, batch):
    return after_steps(task, [batch, batch], optax.sgd(0.02), devices=1)


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "accumulation"), [(8, 1), (2, 4)])
def test_devices_and_microbatches_change_nothing(task, batch, on_one_device, devices, accumulation):
    """Even with dropout, masks and slot orders, which each of the two steps on one batch draws anew."""
    steps = on_one_device[0]
    assert all(steps[0][name].total != steps[1][name].total for name in task.loss_weights)
    other = after_steps(task, [batch, batch], optax.sgd(0.02), devices, accumulation)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), on_one_device, other)


def seen_by(task, call, batch, keys=None):
    """What a model is shown (latents, words and visibility, per call of `Aloe.tokens`), and what `call` returns."""
    shown = []

    class SeeThrough(Aloe):
        """Outputs are the tokens, as if nothing were hidden."""

        def tokens(self, latents_BxFxNxD, words_BxW, word_tags_BxWx2, visible_BxFxN=None, **more):
            shown.append((np.asarray(latents_BxFxNxD), np.asarray(words_BxW), visible_BxFxN))
            return super().tokens(latents_BxFxNxD, words_BxW, word_tags_BxWx2, **more)

        def transform(self, tokens_BxTxP, keys=None):
            return tokens_BxTxP

        def answer(self, outputs_BxTxE, head):
            return jnp.zeros((len(outputs_BxTxE), self.config.outputs[head]))

        def infill(self, outputs_BxTxE):
            objects = self.config.frames * self.config.slots
            latents = outputs_BxTxE[:, -objects:, : self.config.latent]
            return latents.reshape(-1, self.config.frames, self.config.slots, self.config.latent)

    model = SeeThrough(task.model_config, rngs=nnx.Rngs(0))
    result = call(model)
    return shown, result


def shown_in_training(task, batch, keys):
    shown, parts = seen_by(task, lambda model: task.parts(model, batch, keys, STEP_KEY), batch)
    return dict(zip((DESCRIPTIVE, CHOICE, UNSUPERVISED), shown, strict=True)), parts


def orders(shown_BxFxNxD, stored_BxFxNxD):
    """For each example, the one permutation of slots that turns the stored latents into those shown."""
    found = []
    for shown, stored in zip(shown_BxFxNxD, stored_BxFxNxD, strict=True):
        order = [int(np.flatnonzero((stored[0] == slot).all(axis=-1))[0]) for slot in shown[0]]
        assert sorted(order) == list(range(len(order)))
        np.testing.assert_array_equal(shown, stored[:, order])  # in all frames
        found.append(tuple(order))
    return found


def test_slots_are_reordered_once_for_each_example_and_alike_in_all_its_frames(task, batch):
    shown, _ = shown_in_training(task, batch, keys_for(batch))
    drawn = []
    for name in (DESCRIPTIVE, UNSUPERVISED):
        drawn += orders(shown[name][0], batch[name]["latents"])
    choices = shown[CHOICE][0].reshape(-1, 4, *shown[CHOICE][0].shape[1:])
    for place in range(4):  # all choices of a question see the same order
        same = orders(choices[:, place], batch[CHOICE]["latents"])
        assert same == orders(choices[:, 0], batch[CHOICE]["latents"])
    drawn += same
    assert len(set(drawn)) > 0.9 * len(drawn)


def test_what_is_drawn_for_an_example_follows_its_key(task, batch):
    """Not its position in the batch: with examples and keys reversed, each is shown as before."""
    keys = keys_for(batch)
    turned = jax.tree.map(lambda rows: rows[::-1], (batch, keys))
    one, other = shown_in_training(task, batch, keys)[0], shown_in_training(task, *turned)[0]
    for name in (DESCRIPTIVE, UNSUPERVISED):
        np.testing.assert_array_equal(one[name][0], other[name][0][::-1])
    np.testing.assert_array_equal(one[UNSUPERVISED][2], other[UNSUPERVISED][2][::-1])
    hidden_BxFxN = ~np.asarray(one[UNSUPERVISED][2])
    np.testing.assert_array_equal(hidden_BxFxN.sum(axis=2), 1)
    assert len(np.unique(hidden_BxFxN, axis=0)) > 0.8 * len(hidden_BxFxN)
    assert one[DESCRIPTIVE][2] is None
    assert one[CHOICE][2] is None


def test_a_model_that_sees_through_the_masks_has_no_auxiliary_loss(task, batch):
    """So the targets are in the same slot order as the inputs."""
    _, parts = shown_in_training(task, batch, keys_for(batch))
    assert parts[AUXILIARY].total == 0.0
    assert parts[AUXILIARY].count == len(batch[UNSUPERVISED]["latents"])


def test_predictions_see_slots_as_they_are_stored(task, batch):
    for group in (DESCRIPTIVE, CHOICE):
        ((shown, _, _),), _ = seen_by(task, lambda model, group=group: task.predict(model, group, batch[group]), batch)
        copies = 4 if group == CHOICE else 1
        np.testing.assert_array_equal(shown, np.repeat(batch[group]["latents"], copies, axis=0))


def test_a_prediction_depends_on_the_order_of_slots_and_not_on_other_examples(task, model, batch):
    """Positions distinguish slots, which is why training shuffles them."""
    one = nnx.merge(*model)
    rows = batch[CHOICE]
    predict = jax.jit(lambda rows: task.predict(one, CHOICE, rows))
    logits = predict(rows)
    turned = predict(rows | {"latents": rows["latents"][:, :, ::-1]})
    assert np.abs(turned - logits).min() > 0
    others = {name: np.concatenate([field[:1], field[:0:-1]]) for name, field in rows.items()}
    np.testing.assert_allclose(predict(others)[0], logits[0], rtol=1e-5, atol=1e-6)


def tags(tokens_BxTxP):
    """The last four numbers of every token after CLS: for a word, its two tags and two modality bits."""
    return np.asarray(tokens_BxTxP)[:, 1:, -4:]


def test_words_are_tagged_and_objects_marked_as_in_the_released_code(task, model, batch):
    one = nnx.merge(*model)
    question, words, objects = 20, 32, 24
    tokens = clevrer.descriptive_tokens(one, batch[DESCRIPTIVE])
    assert tokens.shape == (16, 1 + words + objects, 18)
    assert (tags(tokens)[:, :words] == [0, 1, 1, 0]).all()
    assert (np.asarray(tokens)[:, 1 + words :, -2:] == [0, 1]).all()

    tokens = clevrer.choice_tokens(one, batch[CHOICE])
    assert tokens.shape == (4 * 16, 1 + words + objects, 18)
    assert (tags(tokens)[:, :question] == [1, 0, 1, 0]).all()
    assert (tags(tokens)[:, question:words] == [0, 1, 1, 0]).all()

    rows, visible = batch[UNSUPERVISED], np.ones((16, 3, 8), bool)
    tokens = tags(clevrer.unsupervised_tokens(one, rows, visible))
    assert {True, False} == set(rows["is_choice"].tolist())
    for tags_Tx4, is_choice in zip(tokens, rows["is_choice"], strict=True):
        assert (tags_Tx4[:question] == ([1, 0, 1, 0] if is_choice else [0, 1, 1, 0])).all()
        assert (tags_Tx4[question:words] == [0, 1, 1, 0]).all()


def test_words_stand_in_their_places(task, batch):
    """20 for the question, then 12 for the choice, which is empty for a descriptive question."""
    shown, _ = shown_in_training(task, batch, keys_for(batch))
    np.testing.assert_array_equal(shown[DESCRIPTIVE][1][:, :20], batch[DESCRIPTIVE]["question"])
    assert not shown[DESCRIPTIVE][1][:, 20:].any()
    words = shown[CHOICE][1].reshape(16, 4, 32)
    np.testing.assert_array_equal(words[:, :, :20], np.repeat(batch[CHOICE]["question"][:, None], 4, axis=1))
    np.testing.assert_array_equal(words[:, :, 20:], batch[CHOICE]["choices"])
    np.testing.assert_array_equal(shown[UNSUPERVISED][1][:, :20], batch[UNSUPERVISED]["question"])
    np.testing.assert_array_equal(shown[UNSUPERVISED][1][:, 20:], batch[UNSUPERVISED]["choice"])


def test_no_prediction_is_the_empty_answer(task, model, batch):
    one = nnx.merge(*model)
    logits = one.answer(one.transform(clevrer.descriptive_tokens(one, batch[DESCRIPTIVE])), DESCRIPTIVE)
    bias = one.heads[DESCRIPTIVE].logits.bias
    bias[...] = bias[...].at[0].set(1e6)
    predicted = task.predict(one, DESCRIPTIVE, batch[DESCRIPTIVE])
    np.testing.assert_array_equal(predicted, 1 + np.argmax(logits[:, 1:], axis=1))


@pytest.mark.parametrize("batch_size", [1, 13, 64])
def test_evaluation_is_exact_at_any_batch_size(task, model, one_by_one, batch_size):
    graphdef, params = model
    predictions = Evaluator(task, graphdef, mesh_of(8), batch_size).predictions(params, "validation")
    assert predictions.keys() == one_by_one.keys()
    np.testing.assert_array_equal(predictions[DESCRIPTIVE], one_by_one[DESCRIPTIVE])
    np.testing.assert_allclose(predictions[CHOICE], one_by_one[CHOICE], rtol=1e-5, atol=1e-6)
    assert task.scores("validation", predictions) == task.scores("validation", one_by_one)


@pytest.fixture(scope="module")
def one_by_one(task, model):
    """Predictions for every validation question by itself."""
    predictions = {}
    for group, dataset in task.evaluation("validation").items():
        predict = jax.jit(lambda rows, group=group: task.predict(nnx.merge(*model), group, rows))
        alone = [jax.tree.map(lambda field: np.asarray(field)[None], dict(example)) for example in dataset]
        predictions[group] = np.concatenate([predict(rows) for rows in alone])
    return predictions


def test_the_shuffled_control_sees_other_videos(task):
    own, other = (task.evaluation("validation", shuffled=shuffled) for shuffled in (False, True))
    for group in own:
        for one, two in zip(own[group], other[group], strict=True):
            np.testing.assert_array_equal(one["question"], two["question"])
            assert (one["latents"] != two["latents"]).any(axis=(1, 2)).all()


def labelled(root, **overrides):
    """The videos that each stream draws from, by name of the stream, identified by their latents."""
    task = clevrer.make(settings(root, overrides))
    store = latents.open(root / "latents" / "oracle" / "train")
    video_of = {frame.tobytes(): int(video) for video in store.scene_indices for frame in store.read(video)}
    found = {}
    for name, stream in task.streams().items():
        found[name] = {video_of[stream.dataset[place]["latents"][0].tobytes()] for place in range(200)}
    return found


def test_labels_come_from_a_fraction_of_the_videos_whatever_the_seed(root):
    half = labelled(root, **{"data.labelled_fraction": 0.5})
    assert half[DESCRIPTIVE] == half[CHOICE] < half[UNSUPERVISED] == set(range(12))
    assert len(half[DESCRIPTIVE]) == 6
    assert labelled(root, **{"data.labelled_fraction": 0.5, "seed": 5}) == half


def test_the_table_has_every_type_and_its_controls(task, one_by_one):
    text, controls = task.comparison("validation")(one_by_one, one_by_one)
    for kind in ("descriptive", "explanatory", "predictive", "counterfactual"):
        assert f"{task.scores('validation', one_by_one)[kind]:.1f}" in text
    assert "+0.0 [+0.0, +0.0]" in text
    assert controls["shuffled"] == task.scores("validation", one_by_one)
    assert controls.keys() == {"shuffled", "majority"}  # no program removes an object, as the third needs


@pytest.mark.slow
def test_some_dozens_of_steps_learn_a_few_videos_by_heart(root):
    small = {"model.dropout": 0.0, "model.heads": 4, "model.frames": 2, "data.labelled_fraction": 0.25}
    task = clevrer.make(settings(root, small))
    batches = itertools.islice(host_batches(task.streams(), first_step=0, host=0, hosts=1), 60)
    steps, _ = after_steps(task, batches, optax.adam(4e-3), devices=1)
    first, last = (
        {name: np.median([step[name].compute() for step in some]) for name in steps[0]}
        for some in (steps[:1], steps[-10:])
    )
    assert last[DESCRIPTIVE] < 0.1 * first[DESCRIPTIVE]
    assert last[CHOICE] < 0.5 * first[CHOICE]
    assert last[AUXILIARY] < 0.5 * first[AUXILIARY]
    assert last["descriptive_accuracy"] == 1.0


def test_answers_are_those_of_the_vocabulary(task):
    """Predicted and stored ids stand for the same answers."""
    right = {group: [] for group in (DESCRIPTIVE, CHOICE)}
    for record in task.questions("validation")[DESCRIPTIVE]:
        right[DESCRIPTIVE].append(vocabulary.answer_id(record.question.answer))
    for record in task.questions("validation")[CHOICE]:
        right[CHOICE].append([1.0 if choice.correct else -1.0 for choice in record.question.choices])
    assert set(task.scores("validation", right).values()) == {100.0}
    for place, example in enumerate(task.evaluation("validation")[DESCRIPTIVE]):
        assert example["answer"] == right[DESCRIPTIVE][place]
