"""The videos of a split, for any task: their latents, which of them are labelled, and whose latents a control sees."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from aloe.data import latents
from aloe.data.skipped import DEFAULT_LIMIT, Skipped
from aloe.errors import InputError

# Which videos are labelled does not depend on the run's seed: runs with different seeds compare on the same labels.
LABELLED_ORDER_SEED = 0
SHUFFLE_SEED = 0


class Video(Protocol):
    """Whatever a task knows about one video, identified by its scene index."""

    @property
    def scene_index(self) -> int: ...


AnyVideo = TypeVar("AnyVideo", bound=Video)


def latents_folder(config: ConfigDict) -> epath.Path:
    """The folder of the latents stores, one per split."""
    return epath.Path(config.data.latents or epath.Path(config.data.root) / "latents" / config.data.encoder)


def open_latents(config: ConfigDict, split: str, frame_numbers: Sequence[int]) -> latents.LatentsStore:
    """Opens the latents store of a split, which must have at least these frames of every video.

    Args:
      config: the run's configuration.
      split: its name.
      frame_numbers: numbers of the frames that examples are made from.

    Raises:
      InputError: there is none, or its latents do not fit the model.
    """
    store, model = latents.open(latents_folder(config) / split), config.model
    found = store.shape[1:]
    wanted = (found[0], model.slots, model.latent)
    if found != wanted:
        raise InputError(
            f"{store.path}: latents of shape {found} (frames, slots, size), and the model takes {wanted}; encode the "
            "videos anew (python launch/encode.py), or set config.model.slots and config.model.latent."
        )
    choice = ", whose --frames_per_video says how many), or set config.data.frames_per_video"
    fewer = choice if "frames_per_video" in config.data else ", without --frames_per_video)"
    if absent := sorted(set(frame_numbers) - set(store.frame_numbers)):
        raise InputError(
            f"{store.path}: has latents of {len(store.frame_numbers)} frames of each video, and frame {absent[0]}, of "
            f"{len(frame_numbers)} that are wanted, is not among them; encode the videos anew (python "
            f"launch/encode.py{fewer}."
        )
    if model.frames > len(frame_numbers):
        raise InputError(
            f"config.model.frames = {model.frames}: a video has {len(frame_numbers)} frames; take as many or fewer."
        )
    return store


def with_latents(
    videos: Sequence[AnyVideo], store: latents.LatentsStore, limit: float = DEFAULT_LIMIT
) -> list[AnyVideo]:
    """The videos whose latents are stored; those without are listed, counted and skipped, up to a limit."""
    stored = set(store.scene_indices.tolist()) - set(store.missing().tolist())
    absent = {video.scene_index for video in videos} - stored
    skipped = Skipped("videos", len(videos), limit)
    for scene_index in sorted(absent):
        skipped.add(scene_index, f"{store.path}: no latents of video {scene_index}; run python launch/encode.py")
    skipped.stop_if_too_many()
    if skipped:
        print(skipped.summary(), flush=True)
    return [video for video in videos if video.scene_index not in absent]


def labelled_videos(videos: Sequence[AnyVideo], fraction: float) -> list[AnyVideo]:
    """The labelled fraction of the training videos, at least one; a smaller fraction's are a subset of a larger one's.

    Raises:
      InputError: the fraction is not above 0 and at most 1.
    """
    if not 0 < fraction <= 1:
        raise InputError(f"config.data.labelled_fraction = {fraction}: give a share above 0 and at most 1.")
    order = np.random.default_rng(LABELLED_ORDER_SEED).permutation(len(videos))
    return [videos[place] for place in order[: max(1, round(fraction * len(videos)))]]


def another_video(videos: Sequence[Video]) -> dict[int, int]:
    """Maps every video's scene index to another video's, each used once (one cycle through all of them)."""
    cycle = np.random.default_rng(SHUFFLE_SEED).permutation([video.scene_index for video in videos])
    return dict(zip(cycle.tolist(), np.roll(cycle, 1).tolist(), strict=True))
