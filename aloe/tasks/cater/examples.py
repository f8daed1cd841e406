"""Videos and latents of one split as examples: some frames of a video, and the snitch's cell at its end."""

import dataclasses
from collections.abc import Mapping, Sequence

import grain
import numpy as np

from aloe.data.latents import LatentsStore
from aloe.data.streams import Example
from aloe.tasks.cater.annotations import FRAMES
from aloe.tasks.cater.files import Video


@dataclasses.dataclass(frozen=True)
class Examples:
    """Makes examples of one split, with `frames` frames of each video."""

    latents: LatentsStore
    frames: int

    def train(self, video: Video, rng: np.random.Generator) -> Example:
        """Random frames of a video, and its label."""
        return {**self.unsupervised(video, rng), "label": np.int32(video.label)}

    def unsupervised(self, video: Video, rng: np.random.Generator) -> Example:
        """Random frames of a video, drawn without replacement, in temporal order (appendix A.3)."""
        frames_F = np.sort(rng.choice(FRAMES, self.frames, replace=False))
        return self.latents.see(video.scene_index, frames_F)

    def evaluation(self, videos: Sequence[Video], seen: Mapping[int, int]) -> grain.MapDataset:
        """The videos in order, with evenly spaced frames, first to last, of each or of the one `seen` maps it to."""
        frames_F = np.linspace(0, FRAMES - 1, self.frames).round().astype(int)

        def example(video: Video) -> Example:
            scene_index = seen.get(video.scene_index, video.scene_index)
            return {**self.latents.see(scene_index, frames_F), "label": np.int32(video.label)}

        return grain.MapDataset.source(videos).map(example)
