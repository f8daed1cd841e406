"""CLEVR for the training loop: batches, head, losses and evaluation (appendix B).

An image is a video of one frame; a sequence is CLS, the question and the objects; the head picks one of 28 answers.
The supervised batch holds questions about the labelled images; the unsupervised one holds images of the whole training
split, each with one of its questions but never the answer.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import grain
import jax
import jax.numpy as jnp
import optax
from clu.metrics import Average
from flax import nnx
from ml_collections import ConfigDict

from aloe import objectives
from aloe.data.skipped import DEFAULT_LIMIT
from aloe.data.streams import Example, Stream, endless
from aloe.data.videos import another_video, labelled_videos, open_latents, with_latents
from aloe.errors import InputError
from aloe.model.aloe import Aloe
from aloe.model.config import ModelConfig
from aloe.perception import learned
from aloe.perception.config import STORED, perception_config
from aloe.perception.pixels import open_pixels
from aloe.tasks.clevr import controls, files, scores, vocabulary
from aloe.tasks.clevr.examples import AskedQuestion, Examples, asked
from aloe.tasks.clevr.questions import ImageQuestions
from aloe.training.randomness import folded, reordered
from aloe.training.task import TRAINING_SPLITS, Batch, Compare, Comparison, Diagnosis, Keys, Parts, Predictions

QUESTION, UNSUPERVISED, AUXILIARY = "question", "unsupervised", "auxiliary"
QUESTION_TAG = (1.0, 0.0)  # two bits next to each word's embedding; here all words belong to questions


def make(config: ConfigDict, splits: Sequence[str] = TRAINING_SPLITS) -> "Clevr":
    """Opens the questions and the latents, or the images, of some splits; images not yet decoded are decoded first.

    Raises:
      InputError: files are missing or broken, or the latents do not have the model's shape.
    """
    return Clevr(config, splits)


class Clevr:
    """See `aloe.training.task.Task`."""

    def __init__(self, config: ConfigDict, splits: Sequence[str] = TRAINING_SPLITS) -> None:
        self.config = config
        self.loss_weights = {QUESTION: 1.0}
        if config.objective.weight:
            self.loss_weights[AUXILIARY] = config.objective.weight
        if config.model.frames != files.FRAMES:
            raise InputError(f"config.model.frames = {config.model.frames}: an image is a video of 1 frame.")
        self.model_config = model_config(config)
        self.perception_config = perception_config(config)
        learned.check_slots(self.perception_config, self.model_config)
        self.objective = objectives.make(config.objective, config.model.frames, config.model.slots)
        root = Path(config.data.root)
        self.images: dict[str, list[ImageQuestions]] = {}
        self.examples: dict[str, Examples] = {}
        for split in splits:
            limit = 0.0 if split in files.UNLABELLED else DEFAULT_LIMIT  # every question must be answered
            images = files.read_questions(root, split)
            if self.perception_config.kind == STORED:
                store = open_latents(config, split, range(files.FRAMES))
                self.images[split] = with_latents(images, store, limit)
                self.examples[split] = Examples(store)
            else:
                indices = [image.scene_index for image in images]
                pixels = open_pixels(config, split, files.find_videos(root), indices, files.FRAMES, limit)
                self.images[split] = [image for image in images if image.scene_index in pixels.scene_indices]
                self.examples[split] = Examples(pixels)

    def model(self, rngs: nnx.Rngs) -> Aloe:
        perception = learned.make(self.perception_config, self.model_config, rngs=rngs)
        return Aloe(self.model_config, rngs=rngs, perception=perception)

    def streams(self) -> dict[str, Stream]:
        make, images = self.examples["train"], self.images["train"]
        labelled = labelled_videos(images, self.config.data.labelled_fraction)
        sources: dict[str, tuple[Sequence[Any], Callable[..., Example]]] = {QUESTION: (asked(labelled), make.train)}
        if AUXILIARY in self.loss_weights:
            sources[UNSUPERVISED] = (images, make.unsupervised)
        return {
            name: Stream(endless(records, example, seed=self.config.seed, name=name), self.config.batch[name])
            for name, (records, example) in sources.items()
        }

    def counts(self, batch: Batch) -> dict[str, jax.Array]:
        names = {QUESTION: QUESTION, UNSUPERVISED: AUXILIARY}
        return {names[stream]: jnp.float32(len(rows["question"])) for stream, rows in batch.items()}

    def parts(self, model: nnx.Module, batch: Batch, keys: Keys, step_key: jax.Array) -> Parts:
        assert isinstance(model, Aloe)
        order, dropout, masks = ({name: folded(key_B, use) for name, key_B in keys.items()} for use in range(3))
        latents = {name: model.perceive(rows) for name, rows in batch.items()}
        if not model.ordered_slots:
            latents = {name: reordered(order[name], latents_BxFxNxD) for name, latents_BxFxNxD in latents.items()}
        tokens = {QUESTION: question_tokens(model, latents[QUESTION], batch[QUESTION]["question"])}
        if UNSUPERVISED in batch:
            # No gradient flows through these latents; the auxiliary loss trains f and transformer only (paper §2.1).
            latents[UNSUPERVISED] = jax.lax.stop_gradient(latents[UNSUPERVISED])
            visible_BxFxN, target_BxFxN = self.objective.masks(masks[UNSUPERVISED])
            tokens[UNSUPERVISED] = question_tokens(
                model, latents[UNSUPERVISED], batch[UNSUPERVISED]["question"], visible_BxFxN
            )

        outputs = model.transform_together(tokens, dropout, step_key)
        answer_B = batch[QUESTION]["answer"]
        logits_BxA = model.answer(outputs[QUESTION], QUESTION)
        mean = Average.from_model_output
        parts = {
            QUESTION: mean(optax.softmax_cross_entropy_with_integer_labels(logits_BxA, answer_B)),
            "question_accuracy": mean(jnp.argmax(logits_BxA, axis=-1) == answer_B),
        }
        if UNSUPERVISED in batch:
            infilled_BxFxNxD = model.infill(outputs[UNSUPERVISED])
            parts[AUXILIARY] = mean(self.objective.loss(infilled_BxFxNxD, latents[UNSUPERVISED], target_BxFxN))
        return parts

    def evaluation(self, split: str, *, shuffled: bool = False) -> dict[str, grain.MapDataset]:
        seen = another_video(self.images[split]) if shuffled else {}
        return {QUESTION: self.examples[split].evaluation(self.questions(split), seen)}

    def predict(self, model: nnx.Module, group: str, batch: Mapping[str, jax.Array]) -> jax.Array:
        """The answer to each question, as an index into ANSWERS."""
        assert isinstance(model, Aloe)
        tokens = question_tokens(model, model.perceive(batch), batch["question"])
        return jnp.argmax(model.answer(model.transform(tokens), QUESTION), axis=-1)

    def questions(self, split: str) -> list[AskedQuestion]:
        return asked(self.images[split])

    def scores(self, split: str, predictions: Predictions) -> dict[str, float]:
        return scores.percentages(scores.outcomes(self.questions(split), predictions[QUESTION]))

    def diagnosis(self, split: str, predictions: Predictions) -> Diagnosis:
        return Diagnosis()

    def comparison(self, split: str, *, hard: bool = False) -> Compare:
        if hard:
            raise InputError(
                "--hard: the table has every family and group of questions in a row of its own; leave it out."
            )
        questions = self.questions(split)
        commonest_Q = controls.majority(self.questions("train"), questions)

        def compare(predictions: Predictions, shuffled: Predictions) -> Comparison:
            answers = {"model": predictions[QUESTION], "shuffled": shuffled[QUESTION], "majority": commonest_Q}
            columns = {name: scores.outcomes(questions, answer_Q) for name, answer_Q in answers.items()}
            told = {name: scores.percentages(column) for name, column in columns.items() if name != "model"}
            return Comparison(scores.table(columns), told)

        return compare

    def submission(self, split: str, predictions: Predictions) -> dict[str, str]:
        """Question index → answer. The data set defines no submission format: answers are handed in by mail."""
        return {
            str(record.question.question_index): vocabulary.ANSWERS[answer]
            for record, answer in zip(self.questions(split), predictions[QUESTION], strict=True)
        }


def model_config(config: ConfigDict) -> ModelConfig:
    """Sizes and settings of the model, which without the auxiliary loss has no map f.

    Raises:
      InputError: the settings do not make a valid model.
    """
    return ModelConfig(
        **config.model,
        vocabulary=vocabulary.VOCABULARY_SIZE,
        words=vocabulary.QUESTION_LENGTH,
        infill=bool(config.objective.weight),
        outputs={QUESTION: len(vocabulary.ANSWERS)},
    )


def question_tokens(
    model: Aloe, latents_BxFxNxD: jax.Array, words_BxW: jax.Array, visible_BxFxN: jax.Array | None = None
) -> jax.Array:
    """CLS, question and objects: tokens_BxTx(D+2). If objects are masked, words and CLS receive no gradient."""
    tags_BxWx2 = jnp.broadcast_to(jnp.array(QUESTION_TAG), (*words_BxW.shape, 2))
    hides = visible_BxFxN is not None
    return model.tokens(latents_BxFxNxD, words_BxW, tags_BxWx2, visible_BxFxN, stop_language_gradient=hides)
