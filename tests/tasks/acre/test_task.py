"""ACRE's losses, batches and predictions, on a small world and a small model in float32."""

import functools
import json

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from aloe.config import resolve
from aloe.data import latents
from aloe.data.streams import host_batches
from aloe.errors import InputError
from aloe.tasks.acre import files
from aloe.tasks.acre import task as acre
from aloe.tasks.acre.problems import CONTEXT, QUERIES, parse_problems, to_json
from aloe.tasks.acre.task import AUXILIARY, QUERY, UNSUPERVISED
from aloe.training.evaluation import Evaluator
from tests.tasks.gradients import STEP_KEY, keys_for, moved, reached
from tests.tasks.steps import after_steps
from tests.training.test_step import mesh_of


@pytest.fixture(scope="module")
def task(settings):
    return acre.make(settings())


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


def test_the_classification_loss_reaches_all_but_f(task, model, batch):
    found, every = reached(task, model, batch, query=1.0)
    assert found == {name for name in every if not name.startswith("infill_map/")}
    assert {name.split("/")[1] for name in every if name.startswith("heads/")} == {QUERY}


def test_losses_by_hand_without_dropout(settings, batch):
    task = acre.make(settings({"model.dropout": 0.0}))
    # All latents are equal: then the order of slots does not matter, and predictions agree with those in `parts`.
    same = {name: rows | {"latents": np.ones_like(rows["latents"])} for name, rows in batch.items()}
    one = task.model(nnx.Rngs(1))
    parts = task.parts(one, same, keys_for(same), STEP_KEY)
    logits_BxA = np.asarray(one.answer(one.transform(one.tokens(same[QUERY]["latents"])), QUERY), np.float64)
    chances_BxA = np.exp(logits_BxA) / np.exp(logits_BxA).sum(axis=1, keepdims=True)
    labels = batch[QUERY]["label"]
    wanted = np.mean([-np.log(chance_A[label]) for chance_A, label in zip(chances_BxA, labels, strict=True)])
    np.testing.assert_allclose(parts[QUERY].compute(), wanted, rtol=1e-5)
    predicted = task.predict(one, QUERY, same[QUERY])
    np.testing.assert_array_equal(predicted, logits_BxA.argmax(axis=1))
    np.testing.assert_allclose(parts["query_accuracy"].compute(), np.mean(predicted == labels))
    assert task.loss_weights == {QUERY: 1.0, AUXILIARY: 2.0}
    assert {name: float(count) for name, count in task.counts(same).items()} == {QUERY: 16.0, AUXILIARY: 16.0}


def test_examples_are_the_context_in_order_and_one_query(task, root):
    store = latents.open(root / "latents" / "oracle" / "train")
    by_context = {store.read(index)[:CONTEXT].tobytes(): index for index in store.scene_indices.tolist()}
    problems = {problem.scene_index: problem for problem in task.problems["train"]}
    seen = set()
    batches = host_batches(task.streams(), first_step=0, host=0, hosts=1)
    for _, batch in zip(range(12), batches, strict=False):
        for name, rows in batch.items():
            for number, latents_FxNxD in enumerate(rows["latents"]):
                index = by_context[np.ascontiguousarray(latents_FxNxD[:CONTEXT]).tobytes()]
                asked = [(latents_FxNxD[CONTEXT] == panel).all() for panel in store.read(index)[CONTEXT:]]
                assert sum(asked) == 1
                if name == QUERY:
                    assert rows["label"][number] == problems[index].queries[asked.index(True)].label
                seen.add((name, index, asked.index(True)))
    assert set(batch) == {QUERY, UNSUPERVISED}
    assert set(batch[UNSUPERVISED]) == {"latents"}
    assert {key[1:] for key in seen if key[0] == QUERY} == {(index, place) for index in problems for place in range(4)}
    assert len({key[1:] for key in seen if key[0] == UNSUPERVISED}) > 0.7 * len(problems) * QUERIES


def test_the_labelled_share_is_of_problems_and_the_unsupervised_batch_sees_all(settings, root):
    task = acre.make(settings({"data.labelled_fraction": 0.25}))
    store = latents.open(root / "latents" / "oracle" / "train")
    by_context = {store.read(index)[0].tobytes(): index for index in store.scene_indices.tolist()}
    seen = {QUERY: set(), UNSUPERVISED: set()}
    for _, batch in zip(range(10), host_batches(task.streams(), first_step=0, host=0, hosts=1), strict=False):
        for name, rows in batch.items():
            seen[name] |= {by_context[np.ascontiguousarray(one[0]).tobytes()] for one in rows["latents"]}
    assert len(seen[QUERY]) == 6
    assert len(seen[UNSUPERVISED]) == 24


def test_without_the_auxiliary_loss_there_is_no_unsupervised_batch(settings):
    task = acre.make(settings({"objective.weight": 0.0}))
    assert set(task.streams()) == {QUERY}
    assert set(task.loss_weights) == {QUERY}
    assert not hasattr(task.model(nnx.Rngs(0)), "infill_map")


@pytest.mark.slow
def test_devices_and_microbatches_change_nothing(settings, batch):
    """Even with dropout, masks and slot orders, which the steps draw per example."""
    task = acre.make(settings({"objective.weight": 0.01}))

    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    batches, optimizer = [batch, batch], optax.sgd(0.02)
    one = after_steps(task, batches, optimizer, devices=1)
    jax.tree.map(close, one, after_steps(task, batches, optimizer, devices=4, accumulation=2))


def test_predictions_are_one_a_query_and_become_a_table_and_a_config(task, model, root):
    graphdef, params = model
    evaluator = Evaluator(task, graphdef, mesh_of(2), 16)
    predictions, shuffled = (evaluator.predictions(params, "validation", shuffled=each) for each in (False, True))
    (label_Q,) = predictions.values()
    assert label_Q.shape == (4 * 8,)
    assert set(label_Q.tolist()) <= {0, 1, 2}
    table, controls = task.comparison("validation")(predictions, shuffled)
    assert set(controls) == {"shuffled", "counts", "counts of train", "majority"}
    for word in ("query", "problem", "backward_blocking", "counts", "majority", "shuffled", "interval over problems"):
        assert word in table

    handed_in = json.loads(json.dumps(task.submission("validation", predictions)))
    official = json.loads(files.config_path(root, "validation").read_text())
    labels = [panel["label"] for problem in handed_in for panel in problem[CONTEXT:]]
    assert labels == label_Q.tolist()
    for ours, theirs in zip(handed_in, official, strict=True):
        assert ours[:CONTEXT] == theirs[:CONTEXT]
        for mine, other in zip(ours[CONTEXT:], theirs[CONTEXT:], strict=True):
            assert mine | {"label": other["label"], "type": other["type"]} == other
    right = {QUERY: np.array([panel["label"] for problem in official for panel in problem[CONTEXT:]])}
    assert set(task.scores("validation", right).values()) == {100.0}
    assert parse_problems(official, 0)[1] == []


def test_a_problem_without_latents_keeps_its_place_in_what_is_handed_in(settings, root):
    task = acre.make(settings())
    whole = task.problems["validation"]
    task.problems["validation"] = [whole[0], *whole[2:]]
    label_Q = np.arange(4 * (len(whole) - 1)) % 3
    handed_in = task.submission("validation", {QUERY: label_Q})
    assert [[panel["objects"] for panel in problem] for problem in handed_in] == [
        [panel["objects"] for panel in to_json(problem)] for problem in whole
    ]
    labels = [[panel["label"] for panel in problem if "label" in panel] for problem in handed_in]
    assert labels.pop(1) == []
    assert [label for of_problem in labels for label in of_problem] == label_Q.tolist()


def test_the_shuffled_control_sees_another_problem_and_keeps_its_labels(task, root):
    store = latents.open(root / "latents" / "oracle" / "validation")
    own = task.evaluation("validation")[QUERY]
    other = task.evaluation("validation", shuffled=True)[QUERY]
    for place, record in enumerate(task.queries("validation")):
        panels = [*range(CONTEXT), CONTEXT + record.place]
        np.testing.assert_array_equal(own[place]["latents"], store.read(record.problem.scene_index)[panels])
        assert not np.array_equal(other[place]["latents"], own[place]["latents"])
        assert own[place]["label"] == other[place]["label"] == record.query.label


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"data.latents": "/nowhere/latents"}, r"/nowhere/latents/train: there is no latents store"),
        ({"model.slots": 7}, r"latents of shape \(10, 8, 36\).*model takes \(10, 7, 36\)"),
        ({"model.latent": 16}, r"\(10, 8, 36\).*\(10, 8, 16\)"),
        ({"model.frames": 10}, r"config.model.frames = 10: six context panels and a query are 7"),
        ({"objective.mask": "infill_scenes"}, r"config.objective.buffer = 3.* 9 frames.* config.model.frames = 7"),
        ({"data.labelled_fraction": 0.0}, r"config.data.labelled_fraction = 0.0"),
    ],
)
def test_what_does_not_fit_is_named_before_anything_is_compiled(settings, compiled, overrides, message):
    with pytest.raises(InputError, match=message):
        acre.make(settings(overrides)).streams()
    assert not compiled


def test_a_broken_config_stops_with_file_problem_panel_and_field(settings, root, tmp_path, compiled):
    (tmp_path / "latents").symlink_to(root / "latents")
    (tmp_path / "config").mkdir()
    for split in files.SPLITS:
        files.config_path(tmp_path, split).write_text(files.config_path(root, split).read_text())
    entries = json.loads(files.config_path(root, "validation").read_text())
    entries[3][7]["label"] = 7
    files.config_path(tmp_path, "validation").write_text(json.dumps(entries))
    config = settings()
    config.data.root = str(tmp_path)
    with pytest.raises(InputError, match=r"config/val.json: problem 3: panel 7: field 'label' is 7"):
        acre.make(config)
    assert not compiled


def test_paper_sizes_are_those_of_its_table():
    config = resolve("acre", "paper", {})
    task_model = nnx.eval_shape(lambda: acre.Aloe(acre.model_config(config), rngs=nnx.Rngs(0)))
    assert acre.model_config(config).tokens == 57
    assert acre.model_config(config).width == 304
    assert config.objective.weight == 2.0
    assert task_model.heads[QUERY].logits.kernel.shape == (36, 3)
