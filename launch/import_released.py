"""Imports what the authors released, latents and weights, into a latents store and a workdir.

    python launch/import_released.py --task=clevrer --data=DIR --released=clevrer_monet_latents
    python launch/evaluate.py --task=clevrer --data=DIR --variant=released --local

DIR holds the official question files. The latents go to DIR/latents/released, and can be used for training too
(`--config.data.encoder=released`); if interrupted, the same command resumes where it stopped. The weights go to
the workdir as a run at step 0. Reading them requires TensorFlow (`pip install -e '.[tensorflow]'`); the latents do not.
"""

from collections.abc import Sequence
from pathlib import Path

from flax import nnx
from ml_collections import ConfigDict

from aloe import tasks
from aloe.data.fields import within
from aloe.data.skipped import DEFAULT_LIMIT
from aloe.data.videos import latents_folder
from aloe.errors import InputError
from aloe.model import released as model
from aloe.model.tensorflow_checkpoint import located, read_variables
from aloe.perception.fill import Encoder, fill
from aloe.training import workdir
from aloe.training.pretrained import begin_with
from launch import flags

LATENTS, WEIGHTS = "latents", "weights"


def main(argv: Sequence[str] | None = None) -> None:
    parser = flags.Parser(__doc__)
    parser.add_run()
    parser.set_defaults(variant="released")
    parser.add_argument("--released", type=Path, required=True, help="folder that the authors' archive unpacks to")
    parser.add_argument("--only", choices=(LATENTS, WEIGHTS), help="one of the two; else both")
    parser.add_argument("--checkpoint", type=Path, help="of the weights; else RELEASED/checkpoints")
    parser.add_argument("--pass_over", default="", help="variables that may be left over, as patterns: Adam*,*/LAMB")
    parser.add_argument("--splits", default="train,validation", help="which splits, comma-separated")
    parser.add_argument("--broken_limit", type=float, default=DEFAULT_LIMIT, help="share of videos that may be broken")
    parser.add_argument("--workers", type=int, help="processes; else one a core, for large splits")
    given = parser.parse(argv)

    config = flags.resolve_run(given)
    released = tasks.part(given.task, "released")
    if not given.released.is_dir():
        raise InputError(f"--released={given.released}: there is no such folder; unpack the authors' archive.")
    released.check_vocabulary(given.released)
    params, encoders = None, {}
    checkpoint = given.checkpoint or given.released / released.CHECKPOINTS
    if given.only != LATENTS:
        workdir.refuse_another(config)
        checkpoint = located(checkpoint)
        params = mapped_params(config, checkpoint, [name for name in given.pass_over.split(",") if name])
    if given.only != WEIGHTS:
        encoders = latents_of(config, given.released, given.splits, given.workers)
    # Nothing has been written so far.
    if params is not None:
        new = begin_with(config, nnx.to_pure_dict(params), str(checkpoint.absolute()))
        print(f"{config.workdir}: {'now' if new else 'already'} a run of these weights, at step 0", flush=True)
    folder = latents_folder(config)
    for split, (scene_indices, encoder) in encoders.items():
        skipped = fill(folder / split, scene_indices, encoder, given.broken_limit, f"videos of the {split} split")
        print(f"{folder / split}: {len(scene_indices) - len(skipped)} videos", flush=True)
        if skipped:
            print(skipped.summary(), flush=True)


def mapped_params(config: ConfigDict, checkpoint: Path, passed_over: Sequence[str]) -> nnx.State:
    """The parameters of a checkpoint; prints how each of its variables is mapped.

    Raises:
      InputError: it cannot be read, or does not match the model that the configuration describes.
    """
    model_config = tasks.part(config.task, "task").model_config(config)
    variables = read_variables(checkpoint)
    with within(checkpoint):
        params = model.params_from_variables(variables, model_config, passed_over)
    print(model.mapping_table(variables, model_config), flush=True)
    return params


def latents_of(
    config: ConfigDict, folder: Path, splits: str, workers: int | None
) -> dict[str, tuple[list[int], Encoder]]:
    """The videos of each split and the encoder that reads their latents.

    Raises:
      InputError: there is no such split, its questions cannot be read, or none of its latents can.
    """
    files, released = (tasks.part(config.task, name) for name in ("files", "released"))
    found = {}
    for split in splits.split(","):
        if split not in files.SPLITS:
            raise InputError(f"--splits={splits}: no split {split!r}; there are {', '.join(files.SPLITS)}")
        scene_indices = files.scene_indices(Path(config.data.root), split)
        found[split] = scene_indices, released.encoder(folder, scene_indices, workers)
    return found


if __name__ == "__main__":
    flags.run(main)
