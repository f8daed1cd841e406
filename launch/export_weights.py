"""Exports the parameters of a trained MONet from its run, together with a record of how they were trained.

    python launch/export_weights.py --workdir=runs/monet-worlds-s0 --name=clevrer_world --command=… --world=… …

The weights that ship with Aloe (aloe/perception/monet/shipped) are made this way. Evaluate the run first, with
launch/evaluate.py: the scores are those of its latest checkpoint. Exported weights encode in float32, which takes no
longer on a CPU.
"""

import dataclasses
from pathlib import Path

from etils import epath

from aloe.data.fields import field, read_json, within
from aloe.perception.monet import trained, weights
from launch.flags import Parser, run


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument("--workdir", type=epath.Path, required=True, help="folder of the run")
    parser.add_argument("--name", required=True, help="name for the weights")
    parser.add_argument("--out", type=Path, default=weights.FOLDER, help="parent folder of the weights' own folder")
    for name, help_ in weights.TOLD.items():
        parser.add_argument(f"--{name}", required=True, help=help_)
    flags = parser.parse()

    taken = trained.of_run(flags.workdir)
    step = taken.description["step"]
    path = flags.workdir / f"validation-{step}.json"
    evaluation = read_json(path)
    with within(path):
        scores = field(evaluation, "diagnosis", dict)
    record = weights.Record(
        model=dataclasses.asdict(dataclasses.replace(taken.config, dtype="float32")),
        step=step,
        seed=trained.run_config(flags.workdir).seed,
        trained={name: getattr(flags, name) for name in weights.TOLD},
        scores=scores,
    )
    weights.write(flags.out / flags.name, record, taken.params)
    print(f"{flags.out / flags.name}: {taken.description}")
    return 0


if __name__ == "__main__":
    run(main)
