"""Writes a checkpoint as TensorFlow 1 does."""

from pathlib import Path


def write_checkpoint(folder: Path, variables, name="model.ckpt", step=7) -> Path:
    """Saves variables by name with TensorFlow 1's Saver; returns the path that names the checkpoint."""
    import tensorflow.compat.v1 as tf

    folder.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default(), tf.Session() as session:
        for variable, value in variables.items():
            tf.get_variable(variable, initializer=value)
        session.run(tf.global_variables_initializer())
        return Path(tf.train.Saver().save(session, str(folder / name), global_step=step))
