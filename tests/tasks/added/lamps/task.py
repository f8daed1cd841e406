from collections.abc import Mapping, Sequence
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
from clu.metrics import Average
from flax import nnx
from ml_collections import ConfigDict

from aloe.data.streams import Example, Stream, endless
from aloe.data.videos import another_video, labelled_videos, open_latents, with_latents
from aloe.model.aloe import Aloe
from aloe.model.config import ModelConfig
from aloe.tasks.lamps import files
from aloe.training.randomness import folded, reordered
from aloe.training.task import TRAINING_SPLITS, Batch, Compare, Comparison, Diagnosis, Keys, Parts, Predictions

QUESTION = "question"


def make(config: ConfigDict, splits: Sequence[str] = TRAINING_SPLITS) -> "Lamps":
    return Lamps(config, splits)


def model_config(config: ConfigDict) -> ModelConfig:
    return ModelConfig(**config.model, infill=False, outputs={QUESTION: 4})


class Lamps:
    def __init__(self, config: ConfigDict, splits: Sequence[str]) -> None:
        self.config = config
        self.loss_weights = {QUESTION: 1.0}
        self.latents = {split: open_latents(config, split, range(2)) for split in splits}
        root = Path(config.data.root)
        self.scenes = {split: with_latents(files.read(root, split), store) for split, store in self.latents.items()}

    def model(self, rngs: nnx.Rngs) -> Aloe:
        return Aloe(model_config(self.config), rngs=rngs)

    def streams(self) -> dict[str, Stream]:
        labelled = labelled_videos(self.scenes["train"], self.config.data.labelled_fraction)
        examples = endless(labelled, self.example, seed=self.config.seed, name=QUESTION)
        return {QUESTION: Stream(examples, self.config.batch.question)}

    def example(self, scene: files.Scene, rng: np.random.Generator) -> Example:
        latents_FxNxD = self.latents["train"].read(scene.scene_index)
        return {"latents": latents_FxNxD, "label": scene.lit_FxO[-1].sum()}

    def counts(self, batch: Batch) -> dict[str, jax.Array]:
        return {QUESTION: jnp.float32(len(batch[QUESTION]["label"]))}

    def parts(self, model: nnx.Module, batch: Batch, keys: Keys, step_key: jax.Array) -> Parts:
        assert isinstance(model, Aloe)
        rows, order, dropout = batch[QUESTION], *(folded(keys[QUESTION], use) for use in range(2))
        tokens = {QUESTION: model.tokens(reordered(order, rows["latents"]))}
        outputs = model.transform_together(tokens, {QUESTION: dropout}, step_key)
        logits_BxA = model.answer(outputs[QUESTION], QUESTION)
        loss_B = optax.softmax_cross_entropy_with_integer_labels(logits_BxA, rows["label"])
        return {QUESTION: Average.from_model_output(loss_B)}

    def evaluation(self, split: str, *, shuffled: bool = False) -> dict[str, grain.MapDataset]:
        seen = another_video(self.scenes[split]) if shuffled else {}

        def example(scene: files.Scene) -> Example:
            return {"latents": self.latents[split].read(seen.get(scene.scene_index, scene.scene_index))}

        return {QUESTION: grain.MapDataset.source(self.scenes[split]).map(example)}

    def predict(self, model: nnx.Module, group: str, batch: Mapping[str, jax.Array]) -> jax.Array:
        assert isinstance(model, Aloe)
        return jnp.argmax(model.answer(model.transform(model.tokens(batch["latents"])), QUESTION), axis=-1)

    def scores(self, split: str, predictions: Predictions) -> dict[str, float]:
        lit_Q = np.array([scene.lit_FxO[-1].sum() for scene in self.scenes[split]])
        return {"right": 100 * float(np.mean(predictions[QUESTION] == lit_Q))}

    def diagnosis(self, split: str, predictions: Predictions) -> Diagnosis:
        return Diagnosis()

    def comparison(self, split: str, *, hard: bool = False) -> Compare:
        def compare(predictions: Predictions, shuffled: Predictions) -> Comparison:
            model, control = (self.scores(split, each) for each in (predictions, shuffled))
            return Comparison(f"right {model['right']:.0f} %, shuffled {control['right']:.0f} %", {"shuffled": control})

        return compare

    def submission(self, split: str, predictions: Predictions) -> list[int]:
        return predictions[QUESTION].tolist()
