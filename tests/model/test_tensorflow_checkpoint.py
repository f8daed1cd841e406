import shutil
import sys

import numpy as np
import pytest

from aloe.errors import InputError
from aloe.model.tensorflow_checkpoint import read_variables
from tests.model.tensorflow_writer import write_checkpoint

VARIABLES = {
    "dummy": np.arange(18, dtype=np.float32),
    "tower/layer_0/linear/w": np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32),
    "global_step": np.int64(7),
}


def test_without_tensorflow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(InputError, match=r"TensorFlow is needed.*'\.\[tensorflow\]'"):
        read_variables(tmp_path)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    pytest.importorskip("tensorflow", reason="needs the extra: tensorflow")
    return write_checkpoint(tmp_path_factory.mktemp("written"), VARIABLES)


@pytest.mark.parametrize("by", ["folder", "name"])
def test_every_variable_is_read_as_it_was_written(written, by):
    found = read_variables(written if by == "name" else written.parent)
    assert found.keys() == VARIABLES.keys()
    for name, value in VARIABLES.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)


def test_a_checkpoint_is_found_in_a_folder_that_was_moved_and_lost_its_state(written, tmp_path):
    shutil.copytree(written.parent, tmp_path / "moved")
    (tmp_path / "moved" / "checkpoint").unlink()
    assert read_variables(tmp_path / "moved").keys() == VARIABLES.keys()


def test_no_checkpoint_and_several(written, tmp_path):
    with pytest.raises(InputError, match=r"no checkpoint \(\*\.index\) here"):
        read_variables(tmp_path)
    with pytest.raises(InputError, match=r"other: there is no checkpoint of this name; there should be other\.index"):
        read_variables(tmp_path / "other")
    shutil.copytree(written.parent, tmp_path / "two")
    write_checkpoint(tmp_path / "two", VARIABLES, step=8)
    with pytest.raises(InputError, match=r"several checkpoints, model\.ckpt-7, model\.ckpt-8; name one"):
        read_variables(tmp_path / "two")
    assert read_variables(tmp_path / "two" / "model.ckpt-8").keys() == VARIABLES.keys()


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_checkpoint_is_refused(written, tmp_path, suffix, damage):
    shutil.copytree(written.parent, tmp_path / "damaged")
    path = tmp_path / "damaged" / (written.name + suffix)
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"TensorFlow cannot read it|there is no checkpoint of this name"):
        read_variables(tmp_path / "damaged" / written.name)
