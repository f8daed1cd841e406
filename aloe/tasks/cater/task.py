"""CATER for the training loop: batches, head, losses and evaluation (paper §3.2, appendix A.3).

Where is the snitch at the end? The head predicts one of 36 cells. Half of the supervised batch is from the static
camera, half from the moving one; the unsupervised batch is drawn from all videos of the training split. There are no
words, and nothing tells the model which camera it is.
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
from aloe.config import choose
from aloe.data.streams import Example, Stream, endless
from aloe.data.videos import another_video, labelled_videos, open_latents, with_latents
from aloe.errors import InputError
from aloe.model.aloe import Aloe
from aloe.model.config import ModelConfig
from aloe.tasks.cater import controls, files, grid, scores
from aloe.tasks.cater.annotations import FRAMES
from aloe.tasks.cater.examples import Examples
from aloe.tasks.cater.files import CAMERAS, Video
from aloe.training.randomness import folded, reordered
from aloe.training.task import TRAINING_SPLITS, Batch, Compare, Comparison, Diagnosis, Keys, Parts, Predictions

CELL, DISTANCE, AUXILIARY = "cell", "distance", "auxiliary"  # parts of the loss
UNSUPERVISED = "unsupervised"  # a stream, in addition to one for each camera


def make(config: ConfigDict, splits: Sequence[str] = TRAINING_SPLITS) -> "Cater":
    """Opens the lists and the latents of the given splits.

    Raises:
      InputError: files are missing or broken, or the latents do not have the model's shape.
    """
    return Cater(config, splits)


class Cater:
    """See `aloe.training.task.Task`."""

    def __init__(self, config: ConfigDict, splits: Sequence[str] = TRAINING_SPLITS) -> None:
        self.config = config
        self.loss_weights = {CELL: 1.0, DISTANCE: config.loss.distance, AUXILIARY: config.objective.weight}
        self.loss_weights = {name: weight for name, weight in self.loss_weights.items() if weight}
        if config.loss.distance < 0:
            raise InputError(f"config.loss.distance = {config.loss.distance}: give a weight of 0 or more.")
        self.model_config = model_config(config)
        self.objective = objectives.make(config.objective, config.model.frames, config.model.slots)
        self.root = Path(config.data.root)
        self.cameras = choose(
            "data.cameras", config.data.cameras, {"both": CAMERAS} | {each: (each,) for each in CAMERAS}
        )
        self.videos: dict[str, dict[str, list[Video]]] = {}
        self.examples: dict[str, Examples] = {}
        for split in splits:
            tuning = config.data.tuning
            videos = files.read_videos(self.root, split, tuning=tuning, cameras=self.cameras)
            store = open_latents(config, "train" if tuning else split, range(FRAMES))
            videos = with_latents(videos, store)
            self.videos[split] = {
                camera: [video for video in videos if video.camera == camera] for camera in self.cameras
            }
            for camera, of_camera in self.videos[split].items():
                if not of_camera:
                    other = next(each for each in CAMERAS if each != camera)
                    raise InputError(
                        f"{self.root}: no videos of the {camera} camera in the {split} split; unpack them too, or take "
                        f"those of the other camera alone: --config.data.cameras={other}"
                    )
            self.examples[split] = Examples(store, config.model.frames)

    def model(self, rngs: nnx.Rngs) -> Aloe:
        return Aloe(self.model_config, rngs=rngs)

    def streams(self) -> dict[str, Stream]:
        make, videos = self.examples["train"], self.videos["train"]
        fraction = self.config.data.labelled_fraction
        sources: dict[str, tuple[Sequence[Any], Callable[..., Example]]] = {
            camera: (labelled_videos(of_camera, fraction), make.train) for camera, of_camera in videos.items()
        }
        if AUXILIARY in self.loss_weights:
            sources[UNSUPERVISED] = ([video for of_camera in videos.values() for video in of_camera], make.unsupervised)
        return {
            name: Stream(endless(records, example, seed=self.config.seed, name=name), self.config.batch[name])
            for name, (records, example) in sources.items()
        }

    def counts(self, batch: Batch) -> dict[str, jax.Array]:
        labelled = jnp.float32(sum(len(rows["label"]) for rows in batch.values() if "label" in rows))
        counts = {CELL: labelled, DISTANCE: labelled}
        if UNSUPERVISED in batch:
            counts[AUXILIARY] = jnp.float32(len(batch[UNSUPERVISED]["latents"]))
        return {name: counts[name] for name in self.loss_weights}

    def parts(self, model: nnx.Module, batch: Batch, keys: Keys, step_key: jax.Array) -> Parts:
        assert isinstance(model, Aloe)
        order, dropout, masks = ({name: folded(key_B, use) for name, key_B in keys.items()} for use in range(3))
        latents = {name: reordered(order[name], rows["latents"]) for name, rows in batch.items()}
        tokens = {camera: model.tokens(latents[camera]) for camera in self.cameras}
        if UNSUPERVISED in batch:
            visible_BxFxN, target_BxFxN = self.objective.masks(masks[UNSUPERVISED])
            tokens[UNSUPERVISED] = model.tokens(
                latents[UNSUPERVISED], visible_BxFxN=visible_BxFxN, stop_language_gradient=True
            )

        outputs = model.transform_together(tokens, dropout, step_key)
        logits = {camera: model.answer(outputs[camera], CELL) for camera in self.cameras}
        logits_BxA = jnp.concatenate(list(logits.values()))
        label_B = jnp.concatenate([batch[camera]["label"] for camera in self.cameras])
        mean = Average.from_model_output
        parts = {CELL: mean(optax.softmax_cross_entropy_with_integer_labels(logits_BxA, label_B))}
        # Worth watching even when it is not in the loss.
        parts[DISTANCE] = mean(expected_distance(logits_BxA, label_B))
        for camera, of_camera_BxA in logits.items():
            parts[f"{camera}_accuracy"] = mean(jnp.argmax(of_camera_BxA, axis=-1) == batch[camera]["label"])
        if UNSUPERVISED in batch:
            infilled_BxFxNxD = model.infill(outputs[UNSUPERVISED])
            parts[AUXILIARY] = mean(self.objective.loss(infilled_BxFxNxD, latents[UNSUPERVISED], target_BxFxN))
        return parts

    def evaluation(self, split: str, *, shuffled: bool = False) -> dict[str, grain.MapDataset]:
        """With `shuffled`, an example sees another video from its camera."""
        return {
            camera: self.examples[split].evaluation(videos, another_video(videos) if shuffled else {})
            for camera, videos in self.videos[split].items()
        }

    def predict(self, model: nnx.Module, group: str, batch: Mapping[str, jax.Array]) -> jax.Array:
        """logits_BxA over the cells."""
        assert isinstance(model, Aloe)
        return model.answer(model.transform(model.tokens(batch["latents"])), CELL)

    def outcomes(self, split: str, predictions: Predictions) -> dict[str, scores.Outcomes]:
        """Outcomes by camera, from scores of the cells by camera."""
        return {camera: scores.outcomes(videos, predictions[camera]) for camera, videos in self.videos[split].items()}

    def scores(self, split: str, predictions: Predictions) -> dict[str, float]:
        return scores.percentages(self.outcomes(split, predictions))

    def diagnosis(self, split: str, predictions: Predictions) -> Diagnosis:
        """The mean distance in cells, by camera."""
        return Diagnosis(scores.distances(self.outcomes(split, predictions)))

    def comparison(self, split: str, *, hard: bool = False) -> Compare:
        """Adds a column for the cell in which the snitch was last seen, if scene files are available.

        `hard` adds rows for how videos end: the snitch seen, hidden where it was last seen, or carried elsewhere.
        """
        videos, train = self.videos[split], self.videos["train"]
        without_model = {
            "majority": {camera: controls.majority(train[camera], videos[camera]) for camera in self.cameras}
        }
        note, kinds = "", {}
        try:
            endings = controls.read_endings(self.root, [video for each in videos.values() for video in each])
            told = {camera: [endings[video.scene_index] for video in of_camera] for camera, of_camera in videos.items()}
            without_model["last seen"] = {camera: controls.last_seen_cell(each) for camera, each in told.items()}
            kinds = {camera: np.array([ending.kind for ending in each]) for camera, each in told.items()}
        except InputError as error:
            if hard:
                raise
            note = f"\n\nNo column of where the snitch was last seen. {error}"

        def compare(predictions: Predictions, shuffled: Predictions) -> Comparison:
            answered = {"model": predictions, "shuffled": shuffled} | without_model
            columns = {name: self.outcomes(split, each) for name, each in answered.items()}
            told = {
                name: scores.percentages(column) | scores.distances(column)
                for name, column in columns.items()
                if name != "model"
            }
            return Comparison(scores.table(columns, kinds if hard else None) + note, told)

        return compare

    def submission(self, split: str, predictions: Predictions) -> str:
        """The lists of the split with predicted labels, with paths, as the dataset's generator writes them."""
        folders = files.camera_folders(self.root)
        return "".join(
            f"{folders[camera].name}/videos/{files.video_name(video.scene_index)} {label}\n"
            for camera, videos in self.videos[split].items()
            for video, label in zip(videos, np.argmax(predictions[camera], axis=1).tolist(), strict=True)
        )


def expected_distance(logits_BxA: jax.Array, label_B: jax.Array) -> jax.Array:
    """Expected distance in cells from the right cell, columns apart plus rows apart, under the predicted distribution.

    The paper's L1 loss is the distance from the predicted cell, a step function of the logits. Its mean over the
    distribution has a gradient, and equals that distance where the model is certain. This interpretation is ours.
    """
    distance_AxA = jnp.asarray(grid.distances(), jnp.float32)
    return jnp.sum(jax.nn.softmax(logits_BxA) * distance_AxA[label_B], axis=-1)


def model_config(config: ConfigDict) -> ModelConfig:
    """Sizes and settings of the model, which has no map f if there is no auxiliary loss.

    Raises:
      InputError: the settings do not make a valid model.
    """
    return ModelConfig(**config.model, infill=bool(config.objective.weight), outputs={CELL: grid.CELLS})
