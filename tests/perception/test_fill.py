import re

import numpy as np
import pytest

from aloe.data import latents
from aloe.errors import InputError
from aloe.perception.fill import fill

SHAPE = (6, 4, 5)


def latents_of(scene_index):
    return np.random.default_rng(scene_index).standard_normal(SHAPE).astype(np.float32)


class Encoder:
    """Draws latents seeded with the scene index; videos in `broken` are broken, and it crashes at video `crash`."""

    slots, size = SHAPE[1:]

    def __init__(self, version=1, broken=(), crash=None, frame_numbers=range(SHAPE[0])):
        self.frame_numbers = frame_numbers
        self.description = {"name": "drawn", "version": version}
        self.broken, self.crash = broken, crash
        self.encoded = []

    def encode(self, scene_indices):
        for index in scene_indices:
            if index == self.crash:
                raise KeyboardInterrupt
            self.encoded.append(index)
            yield InputError(f"video {index} is broken") if index in self.broken else latents_of(index)

    def remarks(self):
        return []


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Four videos per file."""
    monkeypatch.setattr(latents, "SHARD_BYTES", 4 * 4 * 6 * 4 * 5)
    monkeypatch.setattr(latents, "SHARES", 1)


INDICES = [7, 3, *range(100, 110)]


def assert_holds(path, scene_indices):
    store = latents.open(path)
    assert sorted(set(INDICES) - set(store.missing().tolist())) == sorted(scene_indices)
    for index in scene_indices:
        np.testing.assert_array_equal(store.read(index), latents_of(index))


def test_every_video_is_encoded_once_and_stored_under_its_index(tmp_path):
    encoder = Encoder()
    assert not fill(tmp_path / "store", INDICES, encoder)
    assert encoder.encoded == INDICES
    assert_holds(tmp_path / "store", INDICES)
    again = Encoder()
    fill(tmp_path / "store", INDICES, again)
    assert again.encoded == []


def test_after_an_interruption_only_what_is_absent_is_encoded(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "store", INDICES, Encoder(crash=INDICES[6]))
    assert_holds(tmp_path / "store", INDICES[:4])
    rest = Encoder()
    fill(tmp_path / "store", INDICES, rest)
    assert rest.encoded == INDICES[4:]
    assert_holds(tmp_path / "store", INDICES)


def test_progress_is_told_in_frames(tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "store", INDICES, Encoder(crash=INDICES[6]))
    assert f"{6 * 6}/{12 * 6} [" in capsys.readouterr().err
    fill(tmp_path / "store", INDICES, Encoder(), name="videos of a split")
    first, *_, last = capsys.readouterr().err.strip().split("\r")
    assert f"| {4 * 6}/{12 * 6} [" in first  # the file already written
    assert re.search(rf"^videos of a split: 100%.*\| {12 * 6}/{12 * 6} \[.*<00:00, .*frame/s\]$", last)


def test_hosts_fill_a_store_together_each_its_own_files(tmp_path):
    encoders = [Encoder(), Encoder(), Encoder()]
    for encoder, (host, hosts) in zip(encoders, [(0, 2), (1, 2), (0, 1)], strict=True):
        fill(tmp_path / "store", INDICES, encoder, host=host, hosts=hosts)
    assert [encoder.encoded for encoder in encoders] == [[*INDICES[:4], *INDICES[8:]], INDICES[4:8], []]
    assert_holds(tmp_path / "store", INDICES)


def test_the_limit_is_a_share_of_a_host_s_videos(tmp_path):
    with pytest.raises(InputError, match=r"2 of 4 .*at most 1 may be"):
        fill(tmp_path / "store", INDICES, Encoder(broken=INDICES[4:6]), limit=0.25, host=1, hosts=2)


def test_broken_videos_stay_absent_are_named_and_tried_again(tmp_path):
    skipped = fill(tmp_path / "store", INDICES, Encoder(broken=(3, 109)), limit=0.2)
    assert list(skipped.problems) == [3, 109]
    assert_holds(tmp_path / "store", set(INDICES) - {3, 109})
    mended = Encoder()
    assert not fill(tmp_path / "store", INDICES, mended)
    assert mended.encoded == [3, 109]
    assert_holds(tmp_path / "store", INDICES)


def test_too_many_broken_videos_stop_it(tmp_path):
    with pytest.raises(InputError, match=r"3 of 12 .*at most 2 may be.*(\n.*)*video 101 is broken"):
        fill(tmp_path / "store", INDICES, Encoder(broken=(3, 7, 101, 109)), limit=0.2)


def test_a_store_of_another_encoder_or_for_other_videos_is_refused(tmp_path):
    fill(tmp_path / "store", INDICES, Encoder(), limit=1)
    refused = Encoder(version=2)
    with pytest.raises(InputError, match=r"'version': 1.*not by.*'version': 2"):
        fill(tmp_path / "store", INDICES, refused)
    with pytest.raises(InputError, match=r"for 12 videos, and .* 11"):
        fill(tmp_path / "store", INDICES[1:], Encoder())
    with pytest.raises(InputError, match=r"6 frames of each video, and 6, or others, are to be encoded"):
        fill(tmp_path / "store", INDICES, Encoder(frame_numbers=range(0, 12, 2)))
    assert refused.encoded == []
    assert_holds(tmp_path / "store", INDICES)


def test_a_folder_with_something_else_in_it_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"no latents store here.*Delete this folder"):
        fill(tmp_path, INDICES, Encoder())
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
