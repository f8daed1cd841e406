import dataclasses

import pytest

from aloe.data.videos import another_video, labelled_videos
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
        assert labelled != set(range(percent)) or percent in (1, 100)  # drawn, and not the first ones
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
