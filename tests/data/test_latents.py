import concurrent.futures
import json
import multiprocessing
import pickle
import resource

import numpy as np
import pytest
import tensorstore

from aloe.data import latents
from aloe.errors import InputError

ENCODER = {"name": "test", "version": 3}


def draw(count, seed=0, shape=(6, 4, 5)):
    return np.random.default_rng(seed).standard_normal((count, *shape)).astype(np.float32)


def shards(path):
    return [file for file in (path / "c").rglob("*") if file.is_file()]


def make(path, scene_indices, shape=(6, 4, 5)):
    frames, slots, size = shape
    return latents.create(path, scene_indices, range(frames), slots, size, ENCODER)


@pytest.fixture
def one_file(monkeypatch):
    """As many videos per file as the maximum file size allows."""
    monkeypatch.setattr(latents, "SHARES", 1)


@pytest.fixture
def small_shards(monkeypatch, one_file):
    """Four videos per file."""
    monkeypatch.setattr(latents, "SHARD_BYTES", 4 * 4 * 6 * 4 * 5)


def test_what_is_written_is_read_by_scene_index(tmp_path, small_shards):
    scene_indices = [30, 2, 17, 4, 999, 0, 8, 11, 12, 13]
    latents_VxFxNxD = draw(10)
    store = make(tmp_path / "store", scene_indices)
    assert store.videos_per_shard == 4
    store.write(scene_indices[::-1], latents_VxFxNxD[::-1])
    for opened in (store, latents.open(tmp_path / "store", ENCODER), latents.open(tmp_path / "store", cache_bytes=0)):
        assert opened.shape == (10, 6, 4, 5)
        assert opened.encoder == ENCODER
        assert opened.scene_indices.tolist() == scene_indices
        for index, expected in zip(scene_indices, latents_VxFxNxD, strict=True):
            read = opened.read(index)
            assert read.dtype == np.float32
            np.testing.assert_array_equal(read, expected)
    assert len(shards(tmp_path / "store")) == 3


@pytest.mark.parametrize(
    ("videos", "shape", "of_a_file"),
    [
        (9, (1, 8, 16), 1),
        (127, (10, 8, 16), 1),
        (420, (10, 8, 16), 6),
        (70_000, (1, 8, 16), 1_093),
        (10_000, (128, 8, 16), 128),
    ],
)
def test_a_small_store_too_has_several_files_and_a_large_one_files_of_a_size(tmp_path, videos, shape, of_a_file):
    assert make(tmp_path / "store", range(videos), shape).videos_per_shard == of_a_file


def test_a_store_of_one_file_is_read_and_filled_on(tmp_path, monkeypatch):
    latents_VxFxNxD = draw(5)
    with monkeypatch.context() as before:
        before.setattr(latents, "SHARES", 1)
        make(tmp_path / "store", range(5)).write([0, 3], latents_VxFxNxD[[0, 3]])
    store = latents.open(tmp_path / "store", ENCODER)
    assert store.missing().tolist() == [1, 2, 4]
    store.write([1, 2, 4], latents_VxFxNxD[[1, 2, 4]])
    np.testing.assert_array_equal([store.read(index) for index in range(5)], latents_VxFxNxD)
    assert len(shards(tmp_path / "store")) == 1


def test_a_store_says_which_frames_it_has(tmp_path):
    store = latents.create(tmp_path / "store", [3], [0, 4, 9], 4, 5, ENCODER)
    assert latents.open(tmp_path / "store").frame_numbers == (0, 4, 9)
    latents_VxFxNxD = draw(1, shape=(3, 4, 5))
    store.write([3], latents_VxFxNxD)
    some = latents.SomeFrames(store, [0, 9])
    np.testing.assert_array_equal(some.see(3, np.array([1]))["latents"], latents_VxFxNxD[0, [2]])
    np.testing.assert_array_equal(some.see(3, np.array([0, 1]))["latents"], latents_VxFxNxD[0, [0, 2]])


def test_a_store_that_does_not_say_has_the_first_frames(tmp_path):
    make(tmp_path / "store", [3])
    path = tmp_path / "store" / "zarr.json"
    record = json.loads(path.read_text())
    del record["attributes"]["frame_numbers"]
    path.write_text(json.dumps(record))
    assert latents.open(tmp_path / "store").frame_numbers == tuple(range(6))


def test_what_has_not_been_written_is_absent(tmp_path, small_shards):
    store = make(tmp_path / "store", range(100, 110))
    assert store.missing().tolist() == list(range(100, 110))
    store.write([101, 105], draw(2))
    absent = [100, 102, 103, 104, 106, 107, 108, 109]
    assert store.missing().tolist() == absent
    reopened = latents.open(tmp_path / "store")
    assert reopened.missing().tolist() == absent
    with pytest.raises(InputError, match=r"store: video 104 has no latents yet.*launch/encode.py"):
        reopened.read(104)
    store.write([104, 100], draw(2, seed=1))  # into existing files, between the videos already there
    again = latents.open(tmp_path / "store")
    assert again.missing().tolist() == [102, 103, 106, 107, 108, 109]
    np.testing.assert_array_equal(again.read(104), draw(2, seed=1)[0])
    np.testing.assert_array_equal(again.read(105), draw(2)[1])


def test_absent_videos_are_nan_in_the_array(tmp_path):
    make(tmp_path / "store", range(3)).write([1], draw(1))
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{tmp_path}/store/"}}
    array = tensorstore.open(spec).result().read().result()
    assert np.isnan(array).all(axis=(1, 2, 3)).tolist() == [True, False, True]


def file_traffic():
    """Bytes and number of file reads in this process, as counted by tensorstore itself."""
    figures = tensorstore.experimental_collect_matching_metrics("/tensorstore/kvstore/file/", include_zero_metrics=True)
    value = {figure["name"].removeprefix("/tensorstore/kvstore/file/"): figure["values"][0] for figure in figures}
    return value["bytes_read"]["value"], value["batch_read"]["value"]


def test_a_video_is_one_read(tmp_path, one_file):
    store = make(tmp_path / "store", range(32), shape=(128, 8, 16))
    store.write(range(32), draw(32, shape=(128, 8, 16)))
    store = latents.open(tmp_path / "store")
    store.read(0)  # also reads the index of the file
    bytes_before, reads_before = file_traffic()
    store.read(20)
    bytes_after, reads_after = file_traffic()
    assert bytes_after - bytes_before == 128 * 8 * 16 * 4 + 4  # plus a checksum
    assert reads_after - reads_before == 1
    store.read(20)
    assert file_traffic() == (bytes_after, reads_after)  # cached in memory


def test_without_a_cache_nothing_is_kept(tmp_path):
    store = make(tmp_path / "store", range(4), shape=(128, 8, 16))
    store.write(range(4), draw(4, shape=(128, 8, 16)))
    store = latents.open(tmp_path / "store", cache_bytes=0)
    store.read(1)
    before, _ = file_traffic()
    store.read(1)
    assert file_traffic()[0] - before >= 128 * 8 * 16 * 4


def test_it_travels_to_threads_and_to_another_process(tmp_path):
    latents_VxFxNxD = draw(8)
    store = make(tmp_path / "store", range(8))
    store.write(range(8), latents_VxFxNxD)
    assert len(pickle.dumps(store)) < 1000
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        np.testing.assert_array_equal(list(pool.map(latents.open(tmp_path / "store").read, range(8))), latents_VxFxNxD)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as processes:
        np.testing.assert_array_equal(list(processes.map(store.read, range(8))), latents_VxFxNxD)


def test_a_store_of_another_encoder_is_refused(tmp_path):
    make(tmp_path / "store", range(3))
    with pytest.raises(InputError, match=r"store: .*'version': 3.*not by .*'version': 4.*another folder"):
        latents.open(tmp_path / "store", ENCODER | {"version": 4})


def test_there_is_no_store(tmp_path):
    with pytest.raises(InputError, match=r"nothing: there is no latents store here.*launch/encode.py"):
        latents.open(tmp_path / "nothing")


def test_what_is_left_of_a_store_is_to_be_deleted(tmp_path):
    store = make(tmp_path / "store", range(3))
    (store.path / "zarr.json").unlink()
    (store.path / "c").mkdir(exist_ok=True)
    with pytest.raises(InputError, match=r"store: there is no latents store here.* Delete this folder") as raised:
        latents.open(store.path)
    assert "Write it with" not in str(raised.value)


def test_a_store_is_not_written_over(tmp_path):
    make(tmp_path / "store", range(3)).write([1], draw(1))
    with pytest.raises(InputError, match="a latents store already"):
        make(tmp_path / "store", range(3))
    assert latents.open(tmp_path / "store").missing().tolist() == [0, 2]


@pytest.mark.parametrize("scene_indices", [[], [1, 2, 1]])
def test_each_video_has_one_row(scene_indices, tmp_path):
    with pytest.raises(InputError, match="each video has one row"):
        make(tmp_path / "store", scene_indices)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("content", ["", "{", '{"zarr_format": 3}'])
def test_a_damaged_description(content, tmp_path):
    make(tmp_path / "store", range(3))
    (tmp_path / "store" / "zarr.json").write_text(content)
    with pytest.raises(InputError, match="store: the latents store cannot be opened"):
        latents.open(tmp_path / "store")


def test_another_zarr_array(tmp_path):
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{tmp_path}/other/"}}
    tensorstore.open(spec, create=True, dtype="float32", shape=[2, 6, 4, 5]).result()
    with pytest.raises(InputError, match="other: a zarr array, but not a latents store"):
        latents.open(tmp_path / "other")


def test_damaged_latents_are_noticed(tmp_path, one_file):
    store = make(tmp_path / "store", range(3), shape=(128, 8, 16))
    store.write(range(3), draw(3, shape=(128, 8, 16)))
    (shard,) = shards(tmp_path / "store")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    store = latents.open(tmp_path / "store")
    store.read(0)
    with pytest.raises(InputError, match=r"the latents of video 1 are damaged.*encode anew"):
        store.read(1)


def test_a_video_of_another_split(tmp_path):
    store = make(tmp_path / "store", range(10, 13))
    for call in (lambda: store.read(2), lambda: store.write([2], draw(1))):
        with pytest.raises(InputError, match="video 2 is none of the 3 videos of this store, 10 to 12"):
            call()


@pytest.mark.parametrize("shape", [(6, 4, 4), (5, 4, 5), (4, 6, 5)])
def test_latents_of_another_shape(shape, tmp_path):
    store = make(tmp_path / "store", range(3))
    with pytest.raises(InputError) as raised:
        store.write([0, 1], draw(2, shape=shape))
    assert str((2, *shape)) in str(raised.value)
    assert "(2, 6, 4, 5)" in str(raised.value)
    assert len(store.missing()) == 3


def test_latents_that_are_not_finite(tmp_path):
    store = make(tmp_path / "store", range(3))
    latents_VxFxNxD = draw(2)
    latents_VxFxNxD[1, 2, 3, 4] = np.inf
    with pytest.raises(InputError, match="the latents of video 2 are not finite"):
        store.write([1, 2], latents_VxFxNxD)
    assert len(store.missing()) == 3


def cut(content):
    return content[: len(content) // 2]


def spoil_index(content):
    """The index is at the end of a shard, before its checksum."""
    return content[:-10] + bytes([content[-10] ^ 255]) + content[-9:]


@pytest.mark.parametrize("damage", [cut, lambda content: b"", spoil_index], ids=["cut", "empty", "index"])
def test_a_damaged_file_is_noticed_where_it_is_asked_what_is_missing(tmp_path, one_file, damage):
    store = make(tmp_path / "store", [0, 1])
    store.write([0, 1], draw(2))
    (shard,) = [path for path in (tmp_path / "store" / "c").rglob("*") if path.is_file()]
    shard.write_bytes(damage(shard.read_bytes()))
    with pytest.raises(InputError, match=r"store: a file of it is cut off or damaged: .*encode its videos anew"):
        latents.open(tmp_path / "store").missing()
    shard.unlink()
    assert latents.open(tmp_path / "store").missing().tolist() == [0, 1]


def test_a_full_disk_is_said_where_a_store_is_made_and_the_same_goes_on(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(InputError, match=r"store: no store can be made here: .*Make room"):
            make(tmp_path / "store", [0, 1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert make(tmp_path / "store", [0, 1]).missing().tolist() == [0, 1]


def test_a_full_disk_is_said_leaves_nothing_half_written_and_the_same_write_goes_on(tmp_path):
    """A limit on the file size stands in for a full disk: both make a write fail partway through a file."""
    store, videos = make(tmp_path / "store", [0, 1], (64, 8, 16)), draw(2, shape=(64, 8, 16))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(InputError, match=r"store: cannot be written: .*make room, and run the same command again"):
            store.write([0, 1], videos)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert latents.open(tmp_path / "store").missing().tolist() == [0, 1]
    store.write([0, 1], videos)
    np.testing.assert_array_equal(latents.open(tmp_path / "store").read(1), videos[1])
