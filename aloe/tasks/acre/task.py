"""ACRE for the training loop: batches, head, losses and evaluation (paper §3.3, appendix A.3).

The six context panels and one query form a video of seven frames; the head predicts one of three labels. There are no
words. The supervised batch consists of queries of the labelled problems, the unsupervised batch of problems from the
whole training split, each with a random one of its queries.
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
from aloe.data.streams import Example, Stream, endless
from aloe.data.videos import another_video, labelled_videos, open_latents, with_latents
from aloe.errors import InputError
from aloe.model.aloe import Aloe
from aloe.model.config import ModelConfig
from aloe.tasks.acre import controls, examples, files, scores
from aloe.tasks.acre.examples import AskedQuery, Examples, asked
from aloe.tasks.acre.problems import LABELS, PANELS, Problem, to_json
from aloe.training.randomness import folded, reordered
from aloe.training.task import TRAINING_SPLITS, Batch, Compare, Comparison, Diagnosis, Keys, Parts, Predictions

QUERY, UNSUPERVISED, AUXILIARY = "query", "unsupervised", "auxiliary"


def make(config: ConfigDict, splits: Sequence[str] = TRAINING_SPLITS) -> "Acre":
    """Opens the problems and the latents of the given splits.

    Raises:
      InputError: files are missing or broken, or the latents do not have the model's shape.
    """
    return Acre(config, splits)


class Acre:
    """See `aloe.training.task.Task`."""

    def __init__(self, config: ConfigDict, splits: Sequence[str] = TRAINING_SPLITS) -> None:
        self.config = config
        self.loss_weights = {QUERY: 1.0}
        if config.objective.weight:
            self.loss_weights[AUXILIARY] = config.objective.weight
        if config.model.frames != examples.FRAMES:
            raise InputError(
                f"config.model.frames = {config.model.frames}: six context panels and a query are {examples.FRAMES}."
            )
        self.model_config = model_config(config)
        self.objective = objectives.make(config.objective, config.model.frames, config.model.slots)
        root = Path(config.data.root)
        self.problems: dict[str, list[Problem]] = {}
        self.examples: dict[str, Examples] = {}
        for split in splits:
            problems = files.read_problems(root, split)
            store = open_latents(config, split, range(PANELS))
            self.problems[split] = with_latents(problems, store)
            self.examples[split] = Examples(store)

    def model(self, rngs: nnx.Rngs) -> Aloe:
        return Aloe(self.model_config, rngs=rngs)

    def streams(self) -> dict[str, Stream]:
        make, problems = self.examples["train"], self.problems["train"]
        labelled = labelled_videos(problems, self.config.data.labelled_fraction)
        sources: dict[str, tuple[Sequence[Any], Callable[..., Example]]] = {QUERY: (asked(labelled), make.train)}
        if AUXILIARY in self.loss_weights:
            sources[UNSUPERVISED] = (problems, make.unsupervised)
        return {
            name: Stream(endless(records, example, seed=self.config.seed, name=name), self.config.batch[name])
            for name, (records, example) in sources.items()
        }

    def counts(self, batch: Batch) -> dict[str, jax.Array]:
        names = {QUERY: QUERY, UNSUPERVISED: AUXILIARY}
        return {names[stream]: jnp.float32(len(rows["latents"])) for stream, rows in batch.items()}

    def parts(self, model: nnx.Module, batch: Batch, keys: Keys, step_key: jax.Array) -> Parts:
        assert isinstance(model, Aloe)
        order, dropout, masks = ({name: folded(key_B, use) for name, key_B in keys.items()} for use in range(3))
        latents = {name: reordered(order[name], rows["latents"]) for name, rows in batch.items()}
        tokens = {QUERY: model.tokens(latents[QUERY])}
        if UNSUPERVISED in batch:
            visible_BxFxN, target_BxFxN = self.objective.masks(masks[UNSUPERVISED])
            tokens[UNSUPERVISED] = model.tokens(
                latents[UNSUPERVISED], visible_BxFxN=visible_BxFxN, stop_language_gradient=True
            )

        outputs = model.transform_together(tokens, dropout, step_key)
        label_B = batch[QUERY]["label"]
        logits_BxA = model.answer(outputs[QUERY], QUERY)
        mean = Average.from_model_output
        parts = {
            QUERY: mean(optax.softmax_cross_entropy_with_integer_labels(logits_BxA, label_B)),
            "query_accuracy": mean(jnp.argmax(logits_BxA, axis=-1) == label_B),
        }
        if UNSUPERVISED in batch:
            infilled_BxFxNxD = model.infill(outputs[UNSUPERVISED])
            parts[AUXILIARY] = mean(self.objective.loss(infilled_BxFxNxD, latents[UNSUPERVISED], target_BxFxN))
        return parts

    def evaluation(self, split: str, *, shuffled: bool = False) -> dict[str, grain.MapDataset]:
        seen = another_video(self.problems[split]) if shuffled else {}
        return {QUERY: self.examples[split].evaluation(self.queries(split), seen)}

    def predict(self, model: nnx.Module, group: str, batch: Mapping[str, jax.Array]) -> jax.Array:
        """The predicted label of each query, as an index into LABELS."""
        assert isinstance(model, Aloe)
        return jnp.argmax(model.answer(model.transform(model.tokens(batch["latents"])), QUERY), axis=-1)

    def queries(self, split: str) -> list[AskedQuery]:
        return asked(self.problems[split])

    def scores(self, split: str, predictions: Predictions) -> dict[str, float]:
        return scores.percentages(scores.outcomes(self.queries(split), predictions[QUERY]))

    def diagnosis(self, split: str, predictions: Predictions) -> Diagnosis:
        return Diagnosis()

    def comparison(self, split: str, *, hard: bool = False) -> Compare:
        if hard:
            raise InputError("--hard: the table has every type of reasoning in a row of its own; leave it out.")
        train, queries = self.queries("train"), self.queries(split)
        without_model = {
            "counts": controls.count_table(controls.iid_queries(), queries),
            "counts of train": controls.count_table(train, queries),
            "majority": controls.majority(train, queries),
        }

        def compare(predictions: Predictions, shuffled: Predictions) -> Comparison:
            labels = {"model": predictions[QUERY], "shuffled": shuffled[QUERY]} | without_model
            columns = {name: scores.outcomes(queries, label_Q) for name, label_Q in labels.items()}
            told = {name: scores.percentages(column) for name, column in columns.items() if name != "model"}
            return Comparison(scores.table(columns), told)

        return compare

    def submission(self, split: str, predictions: Predictions) -> list[list[dict[str, Any]]]:
        """The config of the split, with the predicted labels in place of the right ones and without types.

        Problems are identified by position alone, so one skipped for lack of latents keeps its place, without labels.
        """
        labels = iter(predictions[QUERY].tolist())
        kept = {problem.scene_index for problem in self.problems[split]}

        def answered(panel: dict[str, Any], problem: Problem) -> dict[str, Any]:
            without = {key: value for key, value in panel.items() if key not in ("label", "type")}
            return without | ({"label": next(labels)} if "label" in panel and problem.scene_index in kept else {})

        return [
            [answered(panel, problem) for panel in to_json(problem)]
            for problem in files.read_problems(Path(self.config.data.root), split)
        ]


def model_config(config: ConfigDict) -> ModelConfig:
    """Sizes and settings of the model, which has no map f if there is no auxiliary loss.

    Raises:
      InputError: the settings do not make a valid model.
    """
    return ModelConfig(**config.model, infill=bool(config.objective.weight), outputs={QUERY: len(LABELS)})
