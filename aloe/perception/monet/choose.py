"""Chooses among runs of several seeds, without any label: by the loss of held-out frames.

Seeds of MONet do fail. The loss of the validation split, equation 3 with drawn latents, is the bound that training
lowers: a seed that leaves objects to the background pays for it in the reconstruction, one that shares a slot out
between objects pays in the latents and masks. The foreground ARI is shown beside it, and takes no part.
"""

from collections.abc import Sequence
from typing import NamedTuple

from etils import epath
from tabulate import tabulate

from aloe.config import flatten
from aloe.errors import InputError
from aloe.perception.monet.alarms import alarms
from aloe.training import workdir
from aloe.training.log import DIAGNOSIS, read_metrics

_MAY_DIFFER = {"seed", *workdir.MOVABLE}


class Candidate(NamedTuple):
    """A run, its seed, the step of its last evaluation, and the numbers of that by name."""

    folder: epath.Path
    seed: int
    step: int
    numbers: dict[str, float]


def ranked(folders: Sequence[epath.Path]) -> list[Candidate]:
    """The runs in the folders by the loss of their last evaluation, the best one first.

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
        raise InputError(f"The runs were last evaluated at different steps: {told}. Let all of them come to the end.")
    return sorted(candidates, key=lambda candidate: candidate.numbers["loss"])


def table(candidates: Sequence[Candidate]) -> str:
    """For people: a row a run, in the order given, with the alarms of each."""
    headers = ("run", "seed", "step", "loss", "explained", "foreground ARI", "alarms")
    rows = []
    for folder, seed, step, numbers in candidates:
        found = alarms(numbers, workdir.read(folder).model.slots)
        names = ", ".join(alarm.partition(":")[0] for alarm in found)
        rows.append((folder, seed, step, numbers["loss"], numbers["explained"], numbers.get("foreground_ari"), names))
    return tabulate(rows, headers=headers, floatfmt=".4g", missingval="–")


def _candidate(folder: epath.Path) -> Candidate:
    config = workdir.read(folder)
    if config.task != "monet":
        raise InputError(f"{folder}: a run of --task={config.task}, not of monet; name workdirs of runs that are.")
    path = folder / workdir.METRICS
    records = [record for record in read_metrics(path) if DIAGNOSIS + "loss" in record]
    if not records:
        raise InputError(f"{path}: no evaluation yet; wait for config.training.evaluate_every steps.")
    last = records[-1]
    numbers = {name.removeprefix(DIAGNOSIS): value for name, value in last.items() if name.startswith(DIAGNOSIS)}
    return Candidate(folder, config.seed, int(last["step"]), numbers)
