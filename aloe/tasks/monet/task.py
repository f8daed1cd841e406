"""MONet for the training loop: single video frames, decomposed into slots without labels (arXiv 1901.11390).

Frames are drawn at random from the videos of a split, equally many from each. Exact masks, where one of our own worlds
has them, are only for evaluation.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import numpy as np
from clu.metrics import Average
from flax import nnx
from ml_collections import ConfigDict
from tabulate import tabulate

from aloe import tasks
from aloe.config import choose
from aloe.data import frames
from aloe.data.streams import Example, Stream, endless
from aloe.errors import InputError
from aloe.perception.monet import losses, quality
from aloe.perception.monet.alarms import alarms
from aloe.perception.monet.config import MonetConfig
from aloe.perception.monet.model import Monet, Slots, colors
from aloe.perception.monet.pictures import strips
from aloe.training.task import TRAINING_SPLITS, Batch, Compare, Comparison, Diagnosis, Keys, Parts, Predictions

FRAMES, PICTURES = "frames", "pictures"
RECONSTRUCTION, LATENT, MASK = "reconstruction", "latent_divergence", "mask_divergence"
SHOWN = 8  # frames in TensorBoard

# What is predicted for a frame, in this order.
OF_SLOTS = (RECONSTRUCTION, LATENT, MASK, "squared_error", "mask_entropy", "slots_used", "largest_slot")
BESIDE_EXACT = (
    *("foreground_ari", "in_background", "objects"),
    *("alike", "unlike", "alike_merged", "unlike_merged"),
)


def make(config: ConfigDict, splits: Sequence[str] = TRAINING_SPLITS) -> "MonetTask":
    """Opens the frames of some splits, decoding them first, once, if necessary.

    Raises:
      InputError: videos are missing or broken, or the settings are invalid.
    """
    return MonetTask(config, splits)


class MonetTask:
    """See `aloe.training.task.Task`."""

    def __init__(self, config: ConfigDict, splits: Sequence[str] = TRAINING_SPLITS) -> None:
        self.config = config
        self.model_config = MonetConfig(**config.model)
        check_settings(config)
        self.loss_weights = {RECONSTRUCTION: 1.0, LATENT: config.loss.beta, MASK: config.loss.gamma}
        self.root = Path(config.data.root)
        others = {name: name for name in tasks.names() if name != config.task}
        source = tasks.part(choose("data.source", config.data.source, others), "files")
        source.require_data(self.root)
        if config.data.frames_per_video > source.FRAMES:
            raise InputError(
                f"config.data.frames_per_video = {config.data.frames_per_video}: a video has {source.FRAMES} frames; "
                "take as many or fewer."
            )
        size, numbers = config.model.size, frames.spread(source.FRAMES, config.data.frames_per_video)
        videos = source.find_videos(self.root)
        folder = Path(config.data.frames or self.root / "frames") / f"{size}x{size}-{len(numbers)}"
        self.stores = {
            split: frames.open_or_write(folder, split, videos, source.scene_indices(self.root, split), numbers, size)
            for split in splits
        }
        self.exact_masks = tasks.part(config.data.source, "masks") if tasks.has(config.data.source, "masks") else None
        known = self.exact_masks is not None and self.exact_masks.exist(self.root)
        self.annotations = source.find_annotations(self.root) if known else {}

    def model(self, rngs: nnx.Rngs) -> Monet:
        return Monet(self.model_config, rngs=rngs)

    def streams(self) -> dict[str, Stream]:
        return {
            FRAMES: Stream(
                endless(self.stores["train"], frame_example, seed=self.config.seed, name=FRAMES),
                self.config.batch.frames,
            )
        }

    def counts(self, batch: Batch) -> dict[str, jax.Array]:
        return dict.fromkeys(self.loss_weights, jnp.float32(len(batch[FRAMES]["image"])))

    def parts(self, model: nnx.Module, batch: Batch, keys: Keys, step_key: jax.Array) -> Parts:
        assert isinstance(model, Monet)
        image_BxYxXx3 = colors(batch[FRAMES]["image"])
        told = self.of_slots(image_BxYxXx3, model(image_BxYxXx3, self.noise(keys[FRAMES])))
        return {name: Average.from_model_output(value_B) for name, value_B in told.items()}

    def noise(self, keys_B: jax.Array) -> jax.Array:
        """noise_BxNxD, drawn for each frame with its own key."""
        shape = (self.model_config.slots, self.model_config.latent)
        return jax.vmap(lambda key: jax.random.normal(key, shape))(keys_B)

    def of_slots(self, image_BxYxXx3: jax.Array, slots: Slots) -> dict[str, jax.Array]:
        """The terms of the loss and the other label-free metrics, per frame: see OF_SLOTS."""
        sigmas = self.config.loss.background_sigma, self.config.loss.foreground_sigma
        return {
            RECONSTRUCTION: losses.reconstruction(image_BxYxXx3, slots, *sigmas),
            LATENT: losses.latent_divergence(slots),
            MASK: losses.mask_divergence(slots),
            "squared_error": jnp.sum((slots.mixed_BxYxXx3 - image_BxYxXx3) ** 2, axis=(1, 2, 3)),
        } | quality.of_masks(slots.log_mask_BxNxYxX)

    def evaluation(self, split: str, *, shuffled: bool = False) -> dict[str, grain.MapDataset]:
        """With `shuffled`, the exact masks are those of another frame: the level of agreement by chance."""
        store, places = self.stores[split], self.places(split)
        exact = np.roll(places, 1) if shuffled else places

        def example(number: int) -> Example:
            place = np.asarray(places[number], np.int32)
            return {"image": store[places[number]], "place": place, **self.exact(split, int(exact[number]))}

        evaluated = grain.MapDataset.range(len(places)).map(example)
        return {FRAMES: evaluated, PICTURES: evaluated[:: max(1, len(places) // SHOWN)][:SHOWN]}

    def places(self, split: str) -> list[int]:
        """The frames on which a split is evaluated, as positions in its store."""
        number = min(len(self.stores[split]), self.config.data.evaluation_frames)
        return frames.spread(len(self.stores[split]), number)

    def exact(self, split: str, place: int) -> Example:
        """object_YxX, −1 for no object and all −2 where unknown, and color_O: see `quality.beside_exact`."""
        store, color_O = self.stores[split], np.zeros(quality.MAX_OBJECTS, np.int8)
        video, frame = store.place(place)
        path = self.annotations.get(store.scene_indices[video])
        if path is None or self.exact_masks is None:
            return {"object": np.full((self.config.model.size,) * 2, -2, np.int8), "color": color_O}
        exact = self.exact_masks.exact(path, [store.frame_numbers[frame]], self.config.model.size)
        color_O[: len(exact.color_O)] = exact.color_O
        return {"object": exact.object_FxYxX[0], "color": color_O}

    def predict(self, model: nnx.Module, group: str, batch: Mapping[str, jax.Array]) -> jax.Array:
        """Frames: the metrics OF_SLOTS and BESIDE_EXACT of each. Pictures: what MONet makes of them, see `strips`.

        The latents of frames are sampled, as the loss requires: for each frame with a key from its place in the split,
        so that the mean over all is over many draws, which are the same for every seed and step.
        """
        assert isinstance(model, Monet)
        image_BxYxXx3 = colors(batch["image"])
        if group == PICTURES:
            return strips(image_BxYxXx3, model(image_BxYxXx3))
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), batch["place"])
        slots = model(image_BxYxXx3, self.noise(keys))
        told = self.of_slots(image_BxYxXx3, slots)
        known_B = jnp.min(batch["object"], axis=(1, 2)) > -2
        exact = quality.beside_exact(slots.log_mask_BxNxYxX, batch["object"], batch["color"])
        columns = [told[name] for name in OF_SLOTS]
        columns += [jnp.where(known_B, exact[name], jnp.nan) for name in BESIDE_EXACT]
        return jnp.stack(columns, axis=1)

    def numbers(self, split: str, predictions: Predictions) -> dict[str, float]:
        """Metrics of a split: loss in nats per frame, `explained` and `crowded` as fractions, and `quality.summary`."""
        by_frame = dict(zip((*OF_SLOTS, *BESIDE_EXACT), predictions[FRAMES].T.astype(np.float64), strict=True))
        by_frame["crowded"] = np.where(
            np.isnan(by_frame["objects"]), np.nan, by_frame["objects"] >= self.model_config.slots
        )
        numbers = quality.summary(by_frame)
        loss = sum(weight * numbers[name] for name, weight in self.loss_weights.items())
        explained = 1 - numbers["squared_error"] / max(self.variation(split), 1e-6)
        return {"loss": loss, "explained": explained} | numbers

    def variation(self, split: str) -> float:
        """Squared difference of frames from their mean image, a camera's background: pixel sum, mean over frames."""
        image_BxYxXx3 = np.stack([self.stores[split][place] for place in self.places(split)]) / np.float32(255)
        return float(np.sum((image_BxYxXx3 - image_BxYxXx3.mean(axis=0)) ** 2) / len(image_BxYxXx3))

    def scores(self, split: str, predictions: Predictions) -> dict[str, float]:
        """`explained`, the percentage of the variation around the mean image that is reconstructed; `foreground_ari`.

        Foreground ARI, where known: the adjusted Rand index of slots and objects over the pixels of objects, times
        100; the mean over the frames that show two objects or more.
        """
        numbers = self.numbers(split, predictions)
        return {name: 100 * numbers[name] for name in ("explained", "foreground_ari") if name in numbers}

    def diagnosis(self, split: str, predictions: Predictions) -> Diagnosis:
        """All metrics of a split; seeds are chosen by the lowest `loss`, which needs no labels."""
        numbers = self.numbers(split, predictions)
        picture = np.concatenate(list(predictions[PICTURES]), axis=0)
        return Diagnosis(numbers, {"slots": picture}, alarms(numbers, self.model_config.slots))

    def comparison(self, split: str, *, hard: bool = False) -> Compare:
        if hard:
            raise InputError("--hard: frames have no questions, so there are no hard ones; leave it out.")

        def compare(predictions: Predictions, shuffled: Predictions) -> Comparison:
            model, chance = (self.numbers(split, each) for each in (predictions, shuffled))
            rows = [(name, value, chance[name]) for name, value in model.items()]
            table = tabulate(rows, headers=("", "model", "other frames' masks"), floatfmt=".4g")
            warnings = "".join(f"\nalarm: {alarm}" for alarm in alarms(model, self.model_config.slots))
            return Comparison(table + warnings, {"shuffled": self.scores(split, shuffled)})

        return compare

    def submission(self, split: str, predictions: Predictions) -> None:
        raise NotImplementedError("no split of frames has answers to hand in: files.UNLABELLED is empty")


def frame_example(image_YxXx3: np.ndarray, rng: np.random.Generator) -> Example:
    return {"image": image_YxXx3}


def check_settings(config: ConfigDict) -> None:
    """Raises InputError if a setting of the loss or the data makes no sense."""
    for name in ("background_sigma", "foreground_sigma"):
        if not config.loss[name] > 0:
            raise InputError(f"config.loss.{name} = {config.loss[name]}: give a deviation above 0, such as 0.1.")
    for name in ("beta", "gamma"):
        if config.loss[name] < 0:
            raise InputError(f"config.loss.{name} = {config.loss[name]}: give a weight of 0 or more.")
    for name, least in (("frames_per_video", 1), ("evaluation_frames", 2)):
        if config.data[name] < least:
            raise InputError(f"config.data.{name} = {config.data[name]}: give a number of at least {least}.")
