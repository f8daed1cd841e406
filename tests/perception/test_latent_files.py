import io
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aloe.data import latents
from aloe.errors import InputError
from aloe.perception.fill import fill
from aloe.perception.latent_files import LatentFiles, read_latents

SHAPE = (6, 4, 5)


def latents_of(scene_index, shape=SHAPE):
    return np.random.default_rng(scene_index).standard_normal(shape).astype(np.float32)


def npy(array, **kwargs):
    content = io.BytesIO()
    np.save(content, array, **kwargs)
    return content.getvalue()


def archive(save=np.savez, **arrays):
    content = io.BytesIO()
    save(content, **arrays)
    return content.getvalue()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["3.npz", "3.npy", "0003.npz"])
@pytest.mark.parametrize(
    "content",
    [
        npy(latents_of(3)),
        archive(arr_0=latents_of(3)),
        archive(np.savez_compressed, latents=latents_of(3)),
        npy(latents_of(3).astype(np.float64)),
        npy(np.asfortranarray(latents_of(3))),
        npy(latents_of(3).astype(">f4")),
    ],
    ids=["npy", "npz", "compressed", "float64", "fortran", "big-endian"],
)
def test_latents_are_read_whatever_the_file_is_called_and_however_packed(tmp_path, name, content):
    read = read_latents(write(tmp_path / name, content), SHAPE)
    assert read.dtype == np.float32
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, latents_of(3))


class Planted:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def broken(tmp_path):
    """Broken files by name: the expected message, and the file's content."""
    whole, planted = npy(latents_of(3)), Planted(tmp_path / "planted")
    objects = np.array([planted], object)
    cut = archive(arr_0=latents_of(3))
    changed = bytearray(cut)
    changed[len(changed) // 2] ^= 0xFF
    return {
        "pickle": (r"begins with b'\\x80.*no pickle is ever loaded", pickle.dumps(planted)),
        "empty": (r"begins with b''", b""),
        "text": (r"begins with b'<html>'", b"<html>not found</html>"),
        "objects": ("Object arrays cannot be loaded", npy(objects, allow_pickle=True)),
        "archived objects": ("Object arrays cannot be loaded", archive(arr_0=objects)),
        "cut": ("damaged", whole[:-10]),
        "cut header": ("damaged", whole[:20]),
        "cut archive": ("damaged", cut[:-10]),
        "changed archive": ("damaged.*CRC", bytes(changed)),
        "two arrays": (r"archive of 2 arrays \['a', 'b'\]", archive(a=latents_of(3), b=latents_of(4))),
        "slots": (r"shape \(6, 5, 4\); it must be \(6, 4, 5\)", npy(latents_of(3, (6, 5, 4)))),
        "batch": (r"shape \(1, 6, 4, 5\)", npy(latents_of(3)[None])),
        "whole numbers": ("array of int64", npy(latents_of(3).astype(np.int64))),
        "complex": ("array of complex64", npy(latents_of(3).astype(np.complex64))),
        "nan": ("not finite", npy(np.where(latents_of(3) > 2, np.nan, latents_of(3)))),
        "too large": ("not finite", npy(latents_of(3).astype(np.float64) * 1e300)),
    }


def test_broken_files_are_told_by_what_is_wrong_and_no_pickle_is_loaded(tmp_path):
    for name, (message, content) in broken(tmp_path).items():
        path = write(tmp_path / f"{name}.npz", content)
        with pytest.raises(InputError, match=f"{name}.npz: .*{message}"):
            read_latents(path, SHAPE)
    assert not (tmp_path / "planted").exists()
    pickle.loads(broken(tmp_path)["pickle"][1]).close()
    assert (tmp_path / "planted").exists()  # so loading it would have created the file


def test_an_archive_of_something_else_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "0.npz", "w") as other:
        other.writestr("readme.txt", "hello")
    with pytest.raises(InputError, match=r"0\.npz"):
        read_latents(tmp_path / "0.npz", SHAPE)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_latents(tmp_path / "1.npz", SHAPE)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(packed=st.booleans(), place=st.integers(0, 10_000), byte=st.integers(0, 255), cut=st.booleans())
def test_damage_anywhere_is_refused_or_leaves_latents(tmp_path, packed, place, byte, cut):
    content = bytearray(archive(arr_0=latents_of(3)) if packed else npy(latents_of(3)))
    place %= len(content)
    content[place] = byte
    path = write(tmp_path / "3.npz", bytes(content[:place] if cut else content))
    try:
        read = read_latents(path, SHAPE)
    except InputError:
        return
    assert not cut or place >= len(content) - 1
    assert read.shape == SHAPE
    assert np.isfinite(read).all()


INDICES = [7, 3, *range(100, 110)]


@pytest.fixture
def folder(tmp_path):
    for index in INDICES:
        inside = "train" if index < 105 else "elsewhere/valid"
        write(tmp_path / "released" / inside / f"{index}.npz", npy(latents_of(index)))
    return tmp_path / "released"


def encoder(folder, indices=INDICES, name="released"):
    return LatentFiles(folder, indices, SHAPE, name)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Four videos per file."""
    monkeypatch.setattr(latents, "SHARD_BYTES", 4 * 4 * 6 * 4 * 5)
    monkeypatch.setattr(latents, "SHARES", 1)


def test_a_store_is_filled_with_them(tmp_path, folder):
    assert not fill(tmp_path / "store", INDICES, encoder(folder))
    store = latents.open(tmp_path / "store")
    assert store.shape == (len(INDICES), *SHAPE)
    for index in INDICES:
        np.testing.assert_array_equal(store.read(index), latents_of(index))


def test_the_store_tells_its_source_wherever_the_folder_lies_and_however_it_is_packed(tmp_path, folder):
    fill(tmp_path / "store", INDICES, encoder(folder))
    described = latents.open(tmp_path / "store").encoder
    assert described == encoder(folder.rename(tmp_path / "moved")).description
    write(tmp_path / "moved" / "train" / "7.npz", archive(np.savez_compressed, any=latents_of(7).astype(np.float64)))
    assert described == encoder(tmp_path / "moved").description
    assert described["name"] == "released"
    assert described["video"] == 7


def test_a_store_of_another_source_is_refused(tmp_path, folder):
    fill(tmp_path / "store", INDICES, encoder(folder))
    with pytest.raises(InputError, match=r"filled by the encoder .*'released'.*not by .*'others'"):
        fill(tmp_path / "store", INDICES, encoder(folder, name="others"))
    write(folder / "train" / "7.npz", npy(latents_of(7) + 1e-6))
    with pytest.raises(InputError, match="Give another folder, or delete this one"):
        fill(tmp_path / "store", INDICES, encoder(folder))
    np.testing.assert_array_equal(latents.open(tmp_path / "store").read(7), latents_of(7))


def test_missing_and_broken_videos_stay_absent_are_named_and_come_later(tmp_path, folder):
    (folder / "train" / "3.npz").unlink()
    write(folder / "train" / "101.npz", b"")
    with pytest.raises(InputError, match=r"2 of 12 .*at most 1 may be(.*\n)+.*no 3\.npz of video 3 here"):
        fill(tmp_path / "store", INDICES, encoder(folder), limit=0.1)
    skipped = fill(tmp_path / "store", INDICES, encoder(folder), limit=0.2)
    assert list(skipped.problems) == [3, 101]
    assert latents.open(tmp_path / "store").missing().tolist() == [3, 101]
    for index in (3, 101):
        write(folder / "train" / f"{index}.npz", npy(latents_of(index)))
    assert not fill(tmp_path / "store", INDICES, encoder(folder))
    np.testing.assert_array_equal(latents.open(tmp_path / "store").read(101), latents_of(101))


def test_a_folder_without_any_of_the_videos_is_refused(tmp_path, folder):
    with pytest.raises(InputError, match=r"none of the 2 videos.*\n.*no 900\.npz of video 900 here"):
        encoder(folder, [900, 901])
    with pytest.raises(InputError, match="there is no such folder"):
        encoder(tmp_path / "nowhere")
    write(folder / "again" / "0007.npz", npy(latents_of(7)))
    with pytest.raises(InputError, match=r"again/0007\.npz and .*train/7\.npz: two files of one video"):
        encoder(folder)
