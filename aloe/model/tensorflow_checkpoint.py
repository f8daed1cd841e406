"""Reads the variables of a TensorFlow checkpoint. TensorFlow itself does it, an extra that nothing else here needs.

`make tensorflow` puts it beside the packages and not among them, where some do more if they can import it; it is found
there.
"""

import importlib.util
import os
import re
import sys
from pathlib import Path

import numpy as np

from aloe.errors import InputError

BESIDE = Path(sys.prefix) / "tensorflow"
STATE = "checkpoint"  # the file in which TensorFlow tells the latest checkpoint of a folder
_LATEST = re.compile(r'^model_checkpoint_path: *"([^"]+)"', re.MULTILINE)


def located(path: Path) -> Path:
    """The checkpoint that a path means, which is what its files' names begin with: `…/model.ckpt-7`.

    Args:
      path: that, or a folder. Of several checkpoints in one the latest is meant, by TensorFlow's own `checkpoint` file,
        which may tell where the folder lay when it was written: its last part counts.

    Raises:
      InputError: there is no checkpoint, or there are several, of which no file tells the latest.
    """
    if not path.is_dir():
        if not path.with_name(path.name + ".index").is_file() and not path.is_file():
            raise InputError(f"{path}: there is no checkpoint of this name; there should be {path.name}.index")
        return path
    found = sorted(each.name.removesuffix(".index") for each in path.glob("*.index"))
    if not found:
        raise InputError(f"{path}: no checkpoint (*.index) here; name one, with --checkpoint=")
    if len(found) == 1:
        return path / found[0]
    state = path / STATE
    told = _LATEST.search(state.read_text(errors="replace")) if state.is_file() else None
    latest = told[1].rpartition("/")[2] if told else None
    if latest in found:
        return path / latest
    why = f"{STATE} tells of {latest}, which is not here" if latest else f"no file {STATE} tells the latest"
    raise InputError(f"{path}: several checkpoints, {', '.join(found)}, and {why}; name one, with --checkpoint=")


def read_variables(path: Path) -> dict[str, np.ndarray]:
    """The variables of a checkpoint by name.

    Args:
      path: as of `located`.

    Raises:
      InputError: there is no checkpoint, it is damaged, or TensorFlow is not installed.
    """
    checkpoint = located(path)
    if importlib.util.find_spec("tensorflow") is None and BESIDE.is_dir():
        sys.path.append(str(BESIDE))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # it greets with what this machine's CPU could do
    try:
        import tensorflow as tf
    except ImportError as error:
        raise InputError(
            f"{checkpoint}: TensorFlow is needed to read this checkpoint, and {error}. Install it with make "
            "tensorflow, or with pip install -e '.[tensorflow]'."
        ) from error
    try:
        reader = tf.train.load_checkpoint(str(checkpoint))
        return {name: np.asarray(reader.get_tensor(name)) for name in sorted(reader.get_variable_to_shape_map())}
    except Exception as error:  # each status of TensorFlow's own comes as an exception of another kind
        raise InputError(
            f"{checkpoint}: TensorFlow cannot read it: {str(error).splitlines()[0]}. Unpack it anew."
        ) from error
