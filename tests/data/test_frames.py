"""The frame store: frames of the videos, decoded once, stored whole or not at all."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from aloe.data import frames
from aloe.data.video import read_frames
from aloe.errors import InputError
from tests.tasks.clevrer.writer import write_video

NUMBERS = [0, 7, 30]
SIZE = 16


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return {index: write_video(folder / f"{index}.mp4", frames=32 + index) for index in (4, 9, 2)}


def opened(folder, videos, scene_indices=(4, 9, 2), numbers=NUMBERS, **kwargs):
    return frames.open_or_write(folder / "store", "train", videos, list(scene_indices), numbers, SIZE, **kwargs)


def test_its_elements_are_the_frames_of_the_videos_in_order(videos, tmp_path):
    store = opened(tmp_path, videos)
    assert len(store) == 9
    for place in range(9):
        video, frame = store.place(place)
        expected = read_frames(videos[(4, 9, 2)[video]], [NUMBERS[frame]], (SIZE, SIZE))[0]
        np.testing.assert_array_equal(store[place], expected)
    with pytest.raises(IndexError):
        store[9]


def test_it_is_read_again_without_decoding(videos, tmp_path):
    first = opened(tmp_path, videos)
    again = opened(tmp_path, {index: tmp_path / "gone.mp4" for index in videos})
    np.testing.assert_array_equal(list(first), list(again))


def test_a_pickled_store_has_no_frames_in_it(videos, tmp_path):
    store = opened(tmp_path, videos)
    store[0]
    sent = pickle.dumps(store)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent)[5], store[5])


def test_what_is_read_is_a_copy(videos, tmp_path):
    store = opened(tmp_path, videos)
    before = store[3].copy()
    store[3][:] = 0
    np.testing.assert_array_equal(store[3], before)


def test_broken_videos_are_named_and_left_out(videos, tmp_path, capsys):
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(videos[9].read_bytes()[:1200])
    broken = {**videos, 9: cut}
    with pytest.raises(InputError, match=rf"1 of 3 videos of the train split .*\n.*{cut}"):
        opened(tmp_path, broken)
    assert not list((tmp_path / "store").iterdir())
    store = opened(tmp_path, broken, limit=0.5)
    assert store.scene_indices == (4, 2)
    assert "cut.mp4: expected 31 or more frames" in capsys.readouterr().out
    np.testing.assert_array_equal(store[3], read_frames(videos[2], [0], (SIZE, SIZE))[0])
    assert opened(tmp_path, broken, limit=0.5).scene_indices == (4, 2)


def write_pictures(folder, sizes):
    folder.mkdir()
    for index, size in enumerate(sizes):
        Image.new("RGBA", size, (10 * index, 0, 0)).save(folder / f"{index}.png")
    return {index: folder / f"{index}.png" for index in range(len(sizes))}


def test_a_picture_of_another_size_than_those_beside_it_is_broken(tmp_path, capsys):
    images = write_pictures(tmp_path / "train", [(64, 48), (64, 48), (300, 20), (64, 48)])
    with pytest.raises(InputError, match=r"1 of 4 .*\n.*2.png: 300×20 pixels, and others beside it have 64×48"):
        opened(tmp_path, images, range(4), [0])
    assert opened(tmp_path, images, range(4), [0], limit=0.25).scene_indices == (0, 1, 3)
    assert "2.png: 300×20 pixels" in capsys.readouterr().out


def test_folders_may_differ_in_size_and_one_that_cannot_be_read_has_none(tmp_path):
    train = write_pictures(tmp_path / "train", [(64, 48), (300, 20), (64, 48)])
    validation = {10 + index: path for index, path in write_pictures(tmp_path / "val", [(32, 24)] * 2).items()}
    absent = {20: tmp_path / "nowhere" / "20.png"}
    usual = frames.usual_sizes(train | validation | absent)
    assert usual == {tmp_path / "train": (48, 64), tmp_path / "val": (24, 32)}
    assert opened(tmp_path, train | validation, [10, 11], [0]).scene_indices == (10, 11)


def test_a_missing_video_is_named(videos, tmp_path):
    with pytest.raises(InputError, match="no video of scene_index 77"):
        opened(tmp_path, videos, scene_indices=(4, 77))


def test_an_interruption_leaves_nothing_and_the_next_call_writes_it(videos, tmp_path, monkeypatch):
    def interrupted(path, numbers, *sizes):
        if path == videos[2]:
            raise KeyboardInterrupt
        return read_frames(path, numbers, *sizes)

    monkeypatch.setattr(frames, "read_frames", interrupted)
    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path, videos)
    assert not list((tmp_path / "store").iterdir())
    monkeypatch.undo()
    assert len(opened(tmp_path, videos)) == 9


def test_a_full_disk_is_said_and_leaves_nothing(videos, tmp_path, monkeypatch):
    def full(file, *_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(frames, "_write_header", full)
    with pytest.raises(InputError, match=r"No space left on device while train_frames .*--config.data.frames"):
        opened(tmp_path, videos)
    assert not list((tmp_path / "store").iterdir())


def test_a_disk_that_is_full_after_the_frames_is_said_and_the_same_command_goes_on(videos, tmp_path, monkeypatch):
    whole = frames.write_whole

    def full(path, content):
        if path.suffix == ".json":
            raise OSError(28, "No space left on device")
        whole(path, content)

    monkeypatch.setattr(frames, "write_whole", full)
    with pytest.raises(InputError, match="No space left on device while train_frames"):
        opened(tmp_path, videos)
    monkeypatch.undo()
    assert len(opened(tmp_path, videos)) == 9


def test_frames_of_another_kind_are_refused(videos, tmp_path):
    opened(tmp_path, videos)
    array = tmp_path / "store" / "train_frames.npy"
    np.save(array, np.load(array).astype(np.float32))
    with pytest.raises(InputError, match=r"train_frames.npy: is float32 of the shape .*, not uint8 of "):
        opened(tmp_path, videos)


def test_a_store_of_other_videos_or_frames_is_refused(videos, tmp_path):
    opened(tmp_path, videos)
    for other in ({"scene_indices": (4, 9)}, {"numbers": [0, 7, 31]}):
        with pytest.raises(InputError, match=r"train_frames.json: this frame store is of other videos or frames"):
            opened(tmp_path, videos, **other)


def test_a_damaged_store_is_refused(videos, tmp_path):
    opened(tmp_path, videos)
    array = tmp_path / "store" / "train_frames.npy"
    whole = array.read_bytes()
    array.write_bytes(whole[:2000])
    with pytest.raises(InputError, match=r"train_frames.npy: cannot be read"):
        opened(tmp_path, videos)
    array.write_bytes(whole)
    index = tmp_path / "store" / "train_frames.json"
    record = json.loads(index.read_text())
    del record["broken"]
    index.write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"train_frames.json: field 'broken' is missing"):
        opened(tmp_path, videos)


@pytest.mark.parametrize(("total", "number"), [(128, 32), (128, 25), (7, 7), (10, 1), (100, 33)])
def test_places_are_spread_evenly(total, number):
    places = frames.spread(total, number)
    assert len(set(places)) == number
    assert min(places) == 0
    assert max(places) < total
    gaps = np.diff([*places, total])
    assert gaps.max() - gaps.min() <= 1
