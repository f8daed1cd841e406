"""The released folder and the released model in CLEVRER's own evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aloe import config
from aloe.data import latents
from aloe.errors import InputError
from aloe.model import released as model
from aloe.tasks.clevrer import files, released, vocabulary
from aloe.tasks.clevrer import task as clevrer
from aloe.tasks.clevrer.examples import asked
from aloe.training.evaluation import Evaluator
from aloe.training.state import model_structure
from tests.model.golden import CONFIG, draw_case
from tests.tasks.clevrer.encoded import questions
from tests.tasks.clevrer.writer import entry, write_json
from tests.training.test_step import mesh_of

OURS = {"question_vocab": vocabulary.WORD_IDS, "answer_vocab": vocabulary.ANSWER_IDS}


def test_a_vocabulary_is_ours_or_absent(tmp_path):
    released.check_vocabulary(tmp_path)
    write_json(tmp_path / "vocab.json", OURS)
    released.check_vocabulary(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question_vocab": OURS["question_vocab"] | {"after": 2}}, r"1 words .*'after', which is 2 there and 1 here"),
        ({"question_vocab": OURS["question_vocab"] | {"zebra": 82}}, r"'zebra', which is 82 there and None here"),
        ({"answer_vocab": {}}, r"'answer_vocab': 21 words .*'0', which is None there and 1 here"),
        ({"answer_vocab": None}, "'answer_vocab' is missing"),
    ],
)
def test_another_vocabulary_is_refused(tmp_path, change, message):
    write_json(tmp_path / "vocab.json", OURS | change)
    with pytest.raises(InputError, match=rf"vocab\.json: .*{message}"):
        released.check_vocabulary(tmp_path)


def test_the_variant_is_the_released_model():
    ours = clevrer.model_config(config.resolve("clevrer", "released", {}))
    theirs = model.config()
    assert {variable.name: variable.shape for variable in model.variables_of(ours)} == {
        variable.name: variable.shape for variable in model.variables_of(theirs)
    }
    for field in ("relative_form", "dtype", "frames", "slots", "latent", "layers", "heads"):
        assert getattr(ours, field) == getattr(theirs, field)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    for split, indices in (("train", range(3)), ("validation", range(10, 15))):
        write_json(root / f"{split}.json", [entry(index, questions(index)) for index in indices])
        store = latents.create(root / "latents" / "released" / split, indices, range(128), 8, 16, {"name": "noise"})
        store.write(indices, np.random.default_rng(len(indices)).normal(size=(len(indices), 128, 8, 16)))
    return root


def test_an_evaluation_answers_as_the_released_forward_pass_does(root):
    """Words, tags, frames, padding and heads are the task's; those of `forward` are tested on the released figures."""
    sizes = {"model.layers": CONFIG.layers, "model.heads": CONFIG.heads, "batch.evaluation": 8}
    settings = config.resolve("clevrer", "released", {path: str(value) for path, value in sizes.items()})
    settings.data.root = str(root)
    task = clevrer.make(settings)
    params = model.params_from_variables(draw_case()[0], task.model_config)
    found = Evaluator(task, model_structure(task), mesh_of(2), 8).predictions(nnx.to_pure_dict(params), "validation")

    store = latents.open(root / "latents" / "released" / "validation")
    forward = jax.jit(lambda *inputs: model.forward(params, task.model_config, *inputs))
    answers, choices = [], []
    for video in files.read_questions(root, "validation"):
        seen = store.read(video.scene_index)[0:125:5][None]  # frames 0, 5, …, 120
        assert seen.shape == (1, 25, 8, 16)
        for question in video.questions:
            ids_CxW = np.zeros((4, 12), np.int32)
            for place, choice in enumerate(question.choices):
                ids_CxW[place] = vocabulary.choice_ids(choice.text)
            logits_A, logits_C = (
                np.asarray(logits[0])
                for logits in forward(seen, jnp.array(vocabulary.question_ids(question.text))[None], ids_CxW[None])
            )
            if question.is_descriptive:
                answers.append(1 + np.argmax(logits_A[1:]))
            else:
                choices.append(logits_C)
    assert len(answers) == len(asked(task.videos["validation"], descriptive=True)) == 20
    np.testing.assert_array_equal(found["descriptive"], answers)
    assert len(set(answers)) > 1
    np.testing.assert_allclose(found["choice"], np.stack(choices), rtol=0, atol=2e-5 * np.abs(choices).max())
