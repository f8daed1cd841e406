"""Scores the latest checkpoint of a run on a whole split, next to its controls.

    python launch/evaluate.py --task=clevrer --workdir=runs/clevrer-paper-s0 --local

For a split without answers, such as CLEVRER's `--split=test`, it writes the model's answers to the workdir, in the
format in which the data set takes submissions; with `--predictions` it also does so for any other split.
"""

from etils import epath

from aloe import tasks
from aloe.config import flatten
from aloe.errors import InputError
from aloe.training import evaluation, workdir
from launch.flags import Parser, resolve_run, run
from launch.machines import add_machines, run_on_slice, slice_of


def main() -> int:
    parser = Parser(__doc__)
    parser.add_run()
    add_machines(parser)
    parser.add_argument("--split", default="validation", choices=("train", "validation", "test"))
    parser.add_argument("--hard", action="store_true", help="also report the questions that truly need reasoning")
    parser.add_argument(
        "--predictions", action="store_true", help="also write the answers to the workdir, in the dataset's own format"
    )
    flags = parser.parse()
    if flags.hard and flags.split in tasks.part(flags.task, "files").UNLABELLED:
        raise InputError(f"--hard compares with labels, which --split={flags.split} has not; leave one of them out.")
    wanted = slice_of(flags)
    asked = resolve_run(flags)
    config = workdir.read(epath.Path(asked.workdir))
    config.workdir = asked.workdir
    if flags.data_given:
        config.data.root = asked.data.root
    for path in flags.overrides:
        config.update_from_flattened_dict({path: dict(flatten(asked))[path]})
    workdir.refuse_another(config)
    config.split, config.hard, config.predictions = flags.split, flags.hard, flags.predictions
    if wanted:
        return run_on_slice([wanted], evaluation.run, config)
    evaluation.run(config.to_dict())
    return 0


if __name__ == "__main__":
    run(main)
