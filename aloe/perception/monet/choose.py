"""Chooses among runs with several seeds, without labels: by the loss on held-out frames.

Seeds of MONet do fail. The loss on the validation split, equation 3 with sampled latents, is the bound that training
minimizes: a seed that leaves objects to the background pays for it in the reconstruction, one that makes objects share
a slot pays in the latents and masks. The foreground ARI is shown beside it, but plays no part.

Encoding uses the latest checkpoint of a run. If the loop has not evaluated that one, `launch/evaluate.py` can;
otherwise the run is ranked by its last evaluation, with a remark.
"""

from collections.abc import Sequence
from typing import NamedTuple

from etils import epath
from tabulate import tabulate

from aloe.config import flatten
from aloe.data.fields import field, read_json, within
from aloe.errors import InputError
from aloe.perception.monet.alarms import alarms
from aloe.perception.monet.trained import run_config
from aloe.training import workdir
from aloe.training.checkpoints import Checkpoints
from aloe.training.log import DIAGNOSIS, read_metrics
from aloe.training.step import data_mesh

_MAY_DIFFER = {"seed", *workdir.MOVABLE}


class Candidate(NamedTuple):
    """A run, its seed, the step of its evaluation, its numbers by name, and the step of the latest checkpoint."""

    folder: epath.Path
    seed: int
    step: int
    numbers: dict[str, float]
    checkpoint: int | None


def ranked(folders: Sequence[epath.Path]) -> list[Candidate]:
    """The runs in the folders, sorted by the loss of their latest checkpoint, or last evaluation, best first.

    Raises:
      InputError: a folder holds no run of MONet or none that has been evaluated, the runs differ in more than the seed,
        or they are not at the same step.
    """
    candidates = [_candidate(folder) for folder in folders]
    first, *others = [dict(flatten(workdir.read(folder))) for folder in folders]
    for folder, other in zip(folders[1:], others, strict=True):
        names = (first.keys() | other.keys()) - _MAY_DIFFER
        if changed := sorted(name for name in names if first.get(name) != other.get(name)):
            raise InputError(
                f"{folder}: its losses do not compare with those of {folders[0]}: {', '.join(changed)} differ. Name "
                "runs that differ in their seeds alone."
            )
    steps = {candidate.step for candidate in candidates}
    if len(steps) > 1:
        told = ", ".join(f"{candidate.folder} {candidate.step}" for candidate in candidates)
        raise InputError(f"The runs were evaluated at different steps: {told}. Let all of them come to the end.")
    return sorted(candidates, key=lambda candidate: candidate.numbers["loss"])


def table(candidates: Sequence[Candidate]) -> str:
    """A table for people: one row per run, in the order given, with its alarms."""
    headers = ("run", "seed", "step", "checkpoint", "loss", "explained", "foreground ARI", "alarms")
    rows = []
    for folder, seed, step, numbers, checkpoint in candidates:
        found = alarms(numbers, workdir.read(folder).model.slots)
        names = ", ".join(alarm.partition(":")[0] for alarm in found)
        told = (numbers["loss"], numbers["explained"], numbers.get("foreground_ari"))
        rows.append((folder, seed, step, checkpoint, *told, names))
    return tabulate(rows, headers=headers, floatfmt=".4g", missingval="–")


def remarks(candidates: Sequence[Candidate]) -> list[str]:
    """Remarks on runs whose evaluation is not of the checkpoint that would encode, each with a remedy."""
    return [
        f"{each.folder}: evaluated at step {each.step}, and "
        + (
            "has no checkpoint, so that nothing of it can encode; wait for config.training.checkpoint_every_steps."
            if each.checkpoint is None
            else f"its latest checkpoint, which encodes, is of step {each.checkpoint}. Evaluate that: "
            f"python launch/evaluate.py --task=monet --local --workdir={each.folder}"
        )
        for each in candidates
        if each.checkpoint != each.step
    ]


def _candidate(folder: epath.Path) -> Candidate:
    config = run_config(folder)
    checkpoints = Checkpoints(folder / workdir.CHECKPOINTS, data_mesh(), config.training, read_only=True)
    checkpoint = checkpoints.latest()
    checkpoints.close()
    path = folder / workdir.METRICS
    by_step = {
        int(record["step"]): {
            name.removeprefix(DIAGNOSIS): value for name, value in record.items() if name.startswith(DIAGNOSIS)
        }
        for record in read_metrics(path)
        if DIAGNOSIS + "loss" in record
    }
    evaluated = folder / f"validation-{checkpoint}.json"  # by launch/evaluate.py
    if checkpoint is not None and checkpoint not in by_step and evaluated.exists():
        record = read_json(evaluated)
        with within(evaluated):
            by_step[checkpoint] = field(record, "diagnosis", dict)
    if not by_step:
        raise InputError(f"{path}: no evaluation yet; wait for config.training.evaluate_every steps.")
    step = checkpoint if checkpoint in by_step else list(by_step)[-1]
    assert step is not None, "a key"
    return Candidate(folder, config.seed, step, by_step[step], checkpoint)
