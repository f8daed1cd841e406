import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aloe.errors import InputError
from aloe.model.tensorflow_checkpoint import located, read_variables
from tests.model.tensorflow_writer import write_checkpoint

ROOT = Path(__file__).parents[2]
VARIABLES = {
    "dummy": np.arange(18, dtype=np.float32),
    "tower/layer_0/linear/w": np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32),
    "global_step": np.int64(7),
}


def write_empty(folder, *names, state=None):
    """Empty files named like those of these checkpoints and, with `state`, TensorFlow's record of the latest."""
    for name in names:
        (folder / f"{name}.index").touch()
        (folder / f"{name}.data-00000-of-00001").touch()
    if state:
        (folder / "checkpoint").write_text(
            f'model_checkpoint_path: "{state}"\nall_model_checkpoint_paths: "{names[0]}"\n'
        )


def test_without_tensorflow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    write_empty(tmp_path, "model.ckpt-7")
    with pytest.raises(InputError, match=r"model.ckpt-7: TensorFlow is needed.*make tensorflow.*'\.\[tensorflow\]'"):
        read_variables(tmp_path)


STAND_IN = """
class train:
    def load_checkpoint(name):
        return train
    def get_variable_to_shape_map():
        return {"dummy": [2]}
    def get_tensor(name):
        return [7, 8]
"""


def test_tensorflow_is_found_beside_the_packages(tmp_path):
    """In a separate process, where a stand-in module has that name."""
    write_empty(tmp_path, "model.ckpt-7")
    (tmp_path / "tensorflow.py").write_text(STAND_IN)
    (tmp_path / "numpy.py").write_text("raise ImportError('not the one among the packages')")
    program = "import sys; from pathlib import Path; from aloe.model import tensorflow_checkpoint as t; "
    program += "t.BESIDE = Path(sys.argv[1]); print(t.read_variables(t.BESIDE)['dummy'].tolist())"
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[7, 8]\n", done.stderr


@pytest.mark.parametrize(
    ("names", "state", "expected"),
    [
        (["model.ckpt-7"], None, "model.ckpt-7"),
        (["model.ckpt-7"], "model.ckpt-8", "model.ckpt-7"),
        (["model.ckpt-7", "model.ckpt-10"], "model.ckpt-10", "model.ckpt-10"),
        (["model.ckpt-10", "model.ckpt-7"], "/gone/to/model.ckpt-7", "model.ckpt-7"),
    ],
)
def test_the_checkpoint_of_a_folder_is_its_only_one_or_the_latest(tmp_path, names, state, expected):
    write_empty(tmp_path, *names, state=state)
    assert located(tmp_path) == tmp_path / expected
    assert located(tmp_path / names[-1]) == tmp_path / names[-1]


@pytest.mark.parametrize(
    ("names", "state", "message"),
    [
        ([], None, r"no checkpoint \(\*\.index\) here; name one, with --checkpoint="),
        (
            ["a", "b"],
            None,
            "several checkpoints, a, b, and no file checkpoint tells the latest; name one, with --check",
        ),
        (["a", "b"], "/gone/to/c", "several checkpoints, a, b, and checkpoint tells of c, which is not here; name one"),
    ],
)
def test_a_folder_that_does_not_tell_its_checkpoint_is_refused(tmp_path, names, state, message):
    write_empty(tmp_path, *names, state=state)
    with pytest.raises(InputError, match=f"^{tmp_path}: {message}"):
        located(tmp_path)


def test_a_name_that_no_checkpoint_has_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"other: there is no checkpoint of this name; there should be other\.index"):
        located(tmp_path / "other")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: make released")
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


def test_of_several_in_a_folder_the_latest_is_read(written, tmp_path):
    shutil.copytree(written.parent, tmp_path / "two")
    write_checkpoint(tmp_path / "two", {"dummy": np.zeros(3, np.float32)}, step=8)
    assert read_variables(tmp_path / "two").keys() == {"dummy"}
    assert read_variables(tmp_path / "two" / "model.ckpt-7").keys() == VARIABLES.keys()


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
