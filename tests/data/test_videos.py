import dataclasses

import pytest
from ml_collections import ConfigDict

from aloe.data import latents
from aloe.data.videos import another_video, labelled_videos, open_latents
from aloe.errors import InputError


@dataclasses.dataclass(frozen=True)
class Video:
    scene_index: int


def made(count):
    return [Video(index) for index in range(count)]


def test_labelled_subsets_are_nested_and_of_the_right_size():
    every = made(100)
    assert {video.scene_index for video in labelled_videos(every, 1.0)} == set(range(100))
    smaller: set[int] = set()
    for percent in range(1, 101):
        labelled = {video.scene_index for video in labelled_videos(every, percent / 100)}
        assert len(labelled) == percent
        assert smaller < labelled
        assert labelled != set(range(percent)) or percent in (1, 100)  # drawn at random, not the first ones
        smaller = labelled


def test_the_smallest_fraction_is_one_video():
    assert len(labelled_videos(made(10), 1e-9)) == 1


@pytest.mark.parametrize("fraction", [0.0, -0.3, 1.01, float("nan")])
def test_what_is_no_fraction_is_refused(fraction):
    with pytest.raises(InputError, match=r"config.data.labelled_fraction = .*above 0 and at most 1"):
        labelled_videos(made(10), fraction)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_shuffled_latents_are_those_of_another_video_and_each_is_used_once(count):
    other = another_video(made(count))
    assert sorted(other) == sorted(other.values()) == list(range(count))
    assert all(video != instead for video, instead in other.items())


@pytest.mark.parametrize(("chooses", "mend"), [(True, "set config.data.frames_per_video"), (False, "without --frames")])
def test_a_store_of_too_few_frames_is_answered_with_what_the_task_can_set(tmp_path, chooses, mend):
    latents.create(tmp_path / "train", [0], [0, 2], 3, 4, {"name": "some"})
    data = {"latents": str(tmp_path)} | ({"frames_per_video": 3} if chooses else {})
    config = ConfigDict({"data": data, "model": {"slots": 3, "latent": 4, "frames": 2}})
    with pytest.raises(InputError, match=f"frame 1, of 3 that are wanted.*{mend}") as raised:
        open_latents(config, "train", range(3))
    assert chooses == ("config.data" in str(raised.value))
