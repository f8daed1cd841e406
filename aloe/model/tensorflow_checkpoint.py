"""Reads the variables of a TensorFlow checkpoint, with TensorFlow itself, an extra that nothing else here needs.

`make tensorflow` installs it beside the other packages rather than among them, because some of them do more if they can
import it; it is found there.
"""

import importlib.util
import os
import re
import sys
from pathlib import Path

import numpy as np

from aloe.errors import InputError

BESIDE = Path(sys.prefix) / "tensorflow"
STATE = "checkpoint"  # the file in which TensorFlow records the latest checkpoint of a folder
_LATEST = re.compile(r'^model_checkpoint_path: *"([^"]+)"', re.MULTILINE)


def located(path: Path) -> Path:
    """The checkpoint that a path refers to, as the common prefix of its files: `…/model.ckpt-7`.

    Args:
      path: that, or a folder. Of several checkpoints in a folder the latest is used, according to TensorFlow's own
        `checkpoint` file. It may hold the folder's path at the time it was written: only the last component is used.

    Raises:
      InputError: if there is no checkpoint, or if there are several and no file records the latest.
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
      path: as for `located`.

    Raises:
      InputError: if there is no checkpoint, if it is damaged, or if TensorFlow is not installed.
    """
    checkpoint = located(path)
    if importlib.util.find_spec("tensorflow") is None and BESIDE.is_dir():
        sys.path.append(str(BESIDE))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # without its greeting about what this machine's CPU could do
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
    except Exception as error:  # each TensorFlow status is raised as an exception type of its own
        raise InputError(
            f"{checkpoint}: TensorFlow cannot read it: {str(error).splitlines()[0]}. Unpack it anew."
        ) from error
