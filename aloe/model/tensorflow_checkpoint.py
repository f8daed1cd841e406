"""Reads the variables of a TensorFlow checkpoint. TensorFlow itself does it, an extra that nothing else here needs."""

import os
from pathlib import Path

import numpy as np

from aloe.errors import InputError


def read_variables(path: Path) -> dict[str, np.ndarray]:
    """The variables of a checkpoint by name.

    Args:
      path: of a checkpoint, which is what its files' names begin with (`…/model.ckpt-7`), or of a folder with one.

    Raises:
      InputError: TensorFlow is not installed, there is no checkpoint, or it is damaged.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # it greets with what this machine's CPU could do
    try:
        import tensorflow as tf
    except ImportError as error:
        raise InputError(
            f"{path}: TensorFlow is needed to read this checkpoint, and {error}. Install the extra: "
            "python -m pip install -e '.[tensorflow]'"
        ) from error
    checkpoint = _checkpoint_in(path) if path.is_dir() else path
    if not checkpoint.with_name(checkpoint.name + ".index").is_file() and not checkpoint.is_file():
        raise InputError(f"{checkpoint}: there is no checkpoint of this name; there should be {checkpoint.name}.index")
    try:
        reader = tf.train.load_checkpoint(str(checkpoint))
        return {name: np.asarray(reader.get_tensor(name)) for name in sorted(reader.get_variable_to_shape_map())}
    except Exception as error:  # each status of TensorFlow's own comes as an exception of another kind
        raise InputError(
            f"{checkpoint}: TensorFlow cannot read it: {str(error).splitlines()[0]}. Unpack it anew."
        ) from error


def _checkpoint_in(folder: Path) -> Path:
    """The one checkpoint in a folder: no file tells which of several is meant, once the folder has been moved."""
    found = sorted(path.with_suffix("") for path in folder.glob("*.index"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found)
        raise InputError(
            f"{folder}: {f'several checkpoints, {names}; name' if found else 'no checkpoint (*.index) here; name'} one"
        )
    return found[0]
