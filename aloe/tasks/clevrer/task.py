"""CLEVRER for the training loop: batches, heads, losses and evaluation (paper §3.1, appendix A.3).

A supervised batch consists of descriptive and multiple-choice questions, half each in the paper; the unsupervised one,
of videos of the whole training split, each with a question and a choice of its own, never the answers. The three are
drawn independently, and go through the tower together. Every choice is a sequence of its own. With an objective of
weight 0 there is no unsupervised batch, and the model has no map f.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
from clu.metrics import Average
from flax import nnx
from ml_collections import ConfigDict

from aloe import objectives
from aloe.data.latents import SomeFrames
from aloe.data.skipped import DEFAULT_LIMIT
from aloe.data.streams import Example, Stream, endless
from aloe.data.videos import another_video, labelled_videos, open_latents, with_latents
from aloe.errors import InputError
from aloe.model.aloe import Aloe
from aloe.model.config import ModelConfig
from aloe.perception import learned
from aloe.perception.config import STORED, perception_config
from aloe.perception.pixels import frame_numbers, open_pixels
from aloe.tasks.clevrer import counterfactuals, files, scores, submission, vocabulary
from aloe.tasks.clevrer.annotations import FRAMES
from aloe.tasks.clevrer.examples import AskedQuestion, Examples, asked
from aloe.tasks.clevrer.questions import MAX_CHOICES, VideoQuestions
from aloe.training.randomness import folded, reordered
from aloe.training.task import TRAINING_SPLITS, Batch, Compare, Comparison, Diagnosis, Keys, Parts, Predictions

DESCRIPTIVE, CHOICE, UNSUPERVISED = "descriptive", "choice", "unsupervised"
AUXILIARY = "auxiliary"
AS_IF_DESCRIPTIVE = "as if\ndescriptive"  # column of a control

# Two bits appended to each word's embedding, as in the released code: they distinguish a multiple-choice question from
# its choice; a descriptive question and the empty choice after it are both tagged as a choice.
QUESTION_TAG, CHOICE_TAG = (1.0, 0.0), (0.0, 1.0)


def make(config: ConfigDict, splits: Sequence[str] = TRAINING_SPLITS) -> "Clevrer":
    """Opens the questions and the latents, or frames, of some splits; decodes the frames first if not yet done.

    Raises:
      InputError: files are missing or broken, or the latents do not have the model's shape.
    """
    return Clevrer(config, splits)


class Clevrer:
    """See `aloe.training.task.Task`."""

    def __init__(self, config: ConfigDict, splits: Sequence[str] = TRAINING_SPLITS) -> None:
        self.config = config
        self.loss_weights = {DESCRIPTIVE: 1.0, CHOICE: 1.0}
        if config.objective.weight:
            self.loss_weights[AUXILIARY] = config.objective.weight
        self.model_config = model_config(config)
        self.perception_config = perception_config(config)
        learned.check_slots(self.perception_config, self.model_config)
        self.objective = objectives.make(config.objective, config.model.frames, config.model.slots)
        root = Path(config.data.root)
        files.require_data(root)
        self.videos: dict[str, list[VideoQuestions]] = {}
        self.examples: dict[str, Examples] = {}
        for split in splits:
            limit = 0.0 if split in files.UNLABELLED else DEFAULT_LIMIT  # a submission answers every question
            videos = files.read_questions(root, split)
            if self.perception_config.kind == STORED:
                numbers = frame_numbers(config, FRAMES)
                store = open_latents(config, split, numbers)
                self.videos[split] = with_latents(videos, store, limit)
                self.examples[split] = Examples(SomeFrames(store, numbers), config.model.frames, len(numbers))
            else:
                scene_indices = [video.scene_index for video in videos]
                pixels = open_pixels(config, split, files.find_videos(root), scene_indices, FRAMES, limit)
                self.videos[split] = [video for video in videos if video.scene_index in pixels.scene_indices]
                self.examples[split] = Examples(pixels, config.model.frames, config.data.frames_per_video)

    def model(self, rngs: nnx.Rngs) -> Aloe:
        perception = learned.make(self.perception_config, self.model_config, rngs=rngs)
        return Aloe(self.model_config, rngs=rngs, perception=perception)

    def streams(self) -> dict[str, Stream]:
        examples, videos = self.examples["train"], self.videos["train"]
        fraction = self.config.data.labelled_fraction
        labelled = labelled_videos(videos, fraction)
        sources: dict[str, tuple[Sequence[Any], Callable[..., Example]]] = {
            DESCRIPTIVE: (asked(labelled, descriptive=True), examples.train),
            CHOICE: (asked(labelled, descriptive=False), examples.train),
        }
        if AUXILIARY in self.loss_weights:
            sources[UNSUPERVISED] = (videos, examples.unsupervised)
        for name, (records, _) in sources.items():
            if not records:
                raise InputError(
                    f"{self.config.data.root}: the training split has no {name} examples with "
                    f"config.data.labelled_fraction = {fraction}; raise it, or name another --data."
                )
        return {
            name: Stream(endless(records, make, seed=self.config.seed, name=name), self.config.batch[name])
            for name, (records, make) in sources.items()
        }

    def counts(self, batch: Batch) -> dict[str, jax.Array]:
        counts = {
            DESCRIPTIVE: jnp.float32(batch[DESCRIPTIVE]["answer"].size),
            CHOICE: jnp.sum(batch[CHOICE]["exists"], dtype=jnp.float32),
        }
        if UNSUPERVISED in batch:
            counts[AUXILIARY] = jnp.float32(batch[UNSUPERVISED]["is_choice"].size)
        return counts

    def parts(self, model: nnx.Module, batch: Batch, keys: Keys, step_key: jax.Array) -> Parts:
        assert isinstance(model, Aloe)
        order, dropout, masks = ({name: folded(key_B, use) for name, key_B in keys.items()} for use in range(3))
        batch = {name: {**rows, "latents": model.perceive(rows)} for name, rows in batch.items()}
        if not model.ordered_slots:
            batch = {name: {**rows, "latents": reordered(order[name], rows["latents"])} for name, rows in batch.items()}
        dropout[CHOICE] = jax.vmap(lambda key: jax.random.split(key, MAX_CHOICES))(dropout[CHOICE]).reshape(-1)
        descriptive, choice = batch[DESCRIPTIVE], batch[CHOICE]
        tokens = {DESCRIPTIVE: descriptive_tokens(model, descriptive), CHOICE: choice_tokens(model, choice)}
        if UNSUPERVISED in batch:
            unsupervised = without_gradient(batch[UNSUPERVISED])
            visible_BxFxN, target_BxFxN = self.objective.masks(masks[UNSUPERVISED])
            tokens[UNSUPERVISED] = unsupervised_tokens(model, unsupervised, visible_BxFxN)

        outputs = model.transform_together(tokens, dropout, step_key)
        answer_BxA = model.answer(outputs[DESCRIPTIVE], DESCRIPTIVE)
        option_BxC = model.answer(outputs[CHOICE], CHOICE).reshape(choice["exists"].shape)
        exists_BxC, correct_BxC = choice["exists"], choice["correct"]
        mean = Average.from_model_output
        parts = {
            DESCRIPTIVE: mean(optax.softmax_cross_entropy_with_integer_labels(answer_BxA, descriptive["answer"])),
            CHOICE: mean(optax.sigmoid_binary_cross_entropy(option_BxC, correct_BxC), exists_BxC),
            "descriptive_accuracy": mean(jnp.argmax(answer_BxA, axis=-1) == descriptive["answer"]),
            "option_accuracy": mean((option_BxC >= 0) == correct_BxC, exists_BxC),
        }
        if UNSUPERVISED in batch:
            infilled_BxFxNxD = model.infill(outputs[UNSUPERVISED])
            auxiliary_B = self.objective.loss(infilled_BxFxNxD, unsupervised["latents"], target_BxFxN)
            parts[AUXILIARY] = mean(auxiliary_B)
        return parts

    def evaluation(self, split: str, *, shuffled: bool = False) -> dict[str, grain.MapDataset]:
        seen = another_video(self.videos[split]) if shuffled else {}
        questions = self.questions(split)
        return {group: self.examples[split].evaluation(records, seen) for group, records in questions.items()}

    def predict(self, model: nnx.Module, group: str, batch: Mapping[str, jax.Array]) -> jax.Array:
        """Descriptive: the answer's id, never 0, which is padding. Choice: logit_BxC, at least 0 for "correct"."""
        assert isinstance(model, Aloe)
        batch = {**batch, "latents": model.perceive(batch)}
        if group == DESCRIPTIVE:
            answer_BxA = model.answer(model.transform(descriptive_tokens(model, batch)), DESCRIPTIVE)
            return 1 + jnp.argmax(answer_BxA[:, 1:], axis=-1)
        return model.answer(model.transform(choice_tokens(model, batch)), CHOICE).reshape(batch["exists"].shape)

    def questions(self, split: str) -> dict[str, list[AskedQuestion]]:
        videos = self.videos[split]
        return {DESCRIPTIVE: asked(videos, descriptive=True), CHOICE: asked(videos, descriptive=False)}

    def scores(self, split: str, predictions: Predictions) -> dict[str, float]:
        return scores.percentages(scores.outcomes(self.questions(split), predictions))

    def diagnosis(self, split: str, predictions: Predictions) -> Diagnosis:
        return Diagnosis()

    def comparison(self, split: str, *, hard: bool = False) -> Compare:
        """Has a column for counterfactual questions answered as if descriptive, where the data allows it.

        `hard` adds a table of counterfactual questions by kind (appendix C).
        """
        questions = self.questions(split)
        majority = scores.majority_predictions(self.questions("train"), questions)
        note, answers = "", {}
        try:
            answers = counterfactuals.read(Path(self.config.data.root), split, questions[CHOICE])
        except InputError as error:
            if hard:
                raise
            note = f"\n\nNo column of questions answered as if descriptive. {error}"
        if hard and not answers:
            raise InputError(f"{self.config.data.root}: the {split} split has no counterfactual questions.")

        def compare(predictions: Predictions, shuffled: Predictions) -> Comparison:
            answered = {"model": predictions, "shuffled": shuffled, "majority": majority}
            columns = {name: scores.outcomes(questions, each) for name, each in answered.items()}
            from_video = {AS_IF_DESCRIPTIVE: counterfactuals.outcomes(answers)} if answers else {}
            text = scores.table(columns | from_video) + note
            if hard:
                told_Q = np.array([record in answers for group in questions.values() for record in group])
                told = {name: column.where(told_Q) for name, column in columns.items()}
                text += f"\n\n{counterfactuals.table(answers, told | from_video)}"
            controls = {name: scores.percentages(column) for name, column in (columns | from_video).items()}
            del controls["model"]
            return Comparison(text, {name.replace("\n", " "): percents for name, percents in controls.items()})

        return compare

    def submission(self, split: str, predictions: Predictions) -> list[dict[str, Any]]:
        return submission.submission(self.videos[split], predictions)


def model_config(config: ConfigDict) -> ModelConfig:
    """Sizes and settings of the model; without the auxiliary loss it has no map f.

    Raises:
      InputError: the settings do not make a valid model.
    """
    return ModelConfig(
        **config.model,
        vocabulary=vocabulary.QUESTION_VOCABULARY_SIZE,
        words=vocabulary.QUESTION_LENGTH + vocabulary.CHOICE_LENGTH,
        infill=bool(config.objective.weight),
        outputs={DESCRIPTIVE: vocabulary.ANSWER_VOCABULARY_SIZE, CHOICE: 1},
    )


def descriptive_tokens(model: Aloe, batch: Mapping[str, jax.Array]) -> jax.Array:
    """CLS, the question, an empty choice, the objects: tokens_BxTx(D+2)."""
    words_BxW = jnp.pad(batch["question"], ((0, 0), (0, vocabulary.CHOICE_LENGTH)))
    return model.tokens(batch["latents"], words_BxW, word_tags(jnp.zeros(len(words_BxW), bool)))


def choice_tokens(model: Aloe, batch: Mapping[str, jax.Array]) -> jax.Array:
    """One sequence per choice, including absent ones: tokens_(B·C)xTx(D+2)."""
    examples, choices, length = batch["choices"].shape
    question_BxW = jnp.repeat(batch["question"], choices, axis=0)
    words_BxW = jnp.concatenate([question_BxW, batch["choices"].reshape(examples * choices, length)], axis=1)
    latents_BxFxNxD = jnp.repeat(batch["latents"], choices, axis=0)
    return model.tokens(latents_BxFxNxD, words_BxW, word_tags(jnp.ones(len(words_BxW), bool)))


def unsupervised_tokens(model: Aloe, batch: Mapping[str, jax.Array], visible_BxFxN: jax.Array) -> jax.Array:
    """Like the supervised ones, but with objects masked and no gradient to the words and CLS (paper §2.1)."""
    words_BxW = jnp.concatenate([batch["question"], batch["choice"]], axis=1)
    tags_BxWx2 = word_tags(batch["is_choice"])
    return model.tokens(batch["latents"], words_BxW, tags_BxWx2, visible_BxFxN, stop_language_gradient=True)


def word_tags(is_choice_B: jax.Array) -> jax.Array:
    """tags_BxWx2 of question and choice words, for multiple-choice (`is_choice_B`) or descriptive questions."""
    question_Bx2 = jnp.where(is_choice_B[:, None], jnp.array(QUESTION_TAG), jnp.array(CHOICE_TAG))
    question_BxWx2 = jnp.repeat(question_Bx2[:, None], vocabulary.QUESTION_LENGTH, axis=1)
    choice_BxWx2 = jnp.broadcast_to(jnp.array(CHOICE_TAG), (len(is_choice_B), vocabulary.CHOICE_LENGTH, 2))
    return jnp.concatenate([question_BxWx2, choice_BxWx2], axis=1)


def without_gradient(rows: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Stops gradients to the latents: the auxiliary loss trains only f and the transformer (paper §2.1).

    Where latents are learned, this holds for the transformer's inputs as well as for the targets, which the loss would
    otherwise collapse. So the unsupervised videos only take the forward pass through perception.
    """
    return {**rows, "latents": jax.lax.stop_gradient(rows["latents"])}
