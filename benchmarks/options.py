"""What a run of the benchmarks is asked for."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict

from aloe.config import resolve
from benchmarks.workloads import workload

# `--quick`: the same programs, small enough for the tests. The tasks' own fields are in `benchmarks.workloads`.
QUICK = {"model.layers": "2", "model.hidden": "32", "model.head_hidden": "16"}
QUICK_BATCH = 8  # of each stream


@dataclasses.dataclass(frozen=True)
class Options:
    """Flags of the command.

    Attributes:
      quick: small sizes, to see that all works; the times mean nothing.
      trace: whether to add a table of time by class of operations.
      paths: of attention (`benchmarks.paths`); empty for all.
      lengths: tokens T of the attention benchmark; empty for all.
      task: whose step, input and checkpoints are measured.
      variant: of the task's configurations.
      overrides: fields of the configuration by path.
    """

    quick: bool = False
    trace: bool = False
    paths: Sequence[str] = ()
    lengths: Sequence[int] = ()
    task: str = "clevrer"
    variant: str = "paper"
    overrides: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def repeats(self) -> int:
        return 2 if self.quick else 7

    @property
    def case(self) -> dict[str, str]:
        """Of task, variant and overrides, what is not by default: it tells rows of one part apart."""
        changed = " ".join(f"{path}={value}" for path, value in sorted(self.overrides.items()))
        given = {"task": self.task, "variant": self.variant, "overrides": changed}
        default = {"task": Options.task, "variant": Options.variant, "overrides": ""}
        return {name: value for name, value in given.items() if value != default[name]}

    @property
    def words(self) -> list[str]:
        """The same in the name of a file: of overrides, which can be long, a digest."""
        words = dict(self.case)
        if "overrides" in words:
            words["overrides"] = hashlib.sha256(words["overrides"].encode()).hexdigest()[:8]
        return list(words.values())

    def config(self) -> ConfigDict:
        """The task's configuration.

        Raises:
          InputError: there is no such task; an override names no field, or gives it no value of its type.
        """
        quick: dict[str, str] = {}
        if self.quick:
            batch = {f"batch.{name}": str(QUICK_BATCH) for name in streams(resolve(self.task, self.variant, {}))}
            quick = QUICK | batch | workload(self.task).QUICK
        return resolve(self.task, self.variant, quick | dict(self.overrides))


def streams(config: ConfigDict) -> list[str]:
    """The fields of `config.batch` that are batches of a step."""
    return [name for name in config.batch if name not in ("accumulation", "evaluation")]
