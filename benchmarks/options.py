"""The options of a benchmark run."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict

from aloe.config import resolve
from benchmarks.workloads import workload

# `--quick`: the same programs, small enough for the tests. The tasks' own fields are in `benchmarks.workloads`.
QUICK = {"model.layers": "2", "model.hidden": "32", "model.head_hidden": "16"}
QUICK_BATCH = 8  # examples of each stream


@dataclasses.dataclass(frozen=True)
class Options:
    """Flags of the command.

    Attributes:
      quick: small sizes, to check that everything works; the times mean nothing.
      trace: whether to add a table of time by class of operation.
      paths: attention paths (`benchmarks.paths`); empty for the part's default.
      lengths: values of T in the attention benchmark; empty for all.
      task: the one whose step, input and checkpoints are measured.
      variant: which of the task's configurations.
      overrides: new values of configuration fields, by path.
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
        """Task, variant and overrides where they are not the default, to distinguish rows of the same part."""
        changed = " ".join(f"{path}={value}" for path, value in sorted(self.overrides.items()))
        given = {"task": self.task, "variant": self.variant, "overrides": changed}
        default = {"task": Options.task, "variant": Options.variant, "overrides": ""}
        return {name: value for name, value in given.items() if value != default[name]}

    @property
    def words(self) -> list[str]:
        """The same for a file name: overrides, which can be long, as a digest."""
        words = dict(self.case)
        if "overrides" in words:
            words["overrides"] = hashlib.sha256(words["overrides"].encode()).hexdigest()[:8]
        return list(words.values())

    def config(self) -> ConfigDict:
        """The task's configuration.

        Raises:
          InputError: there is no such task; an override names no field, or has a value of the wrong type.
        """
        quick: dict[str, str] = {}
        if self.quick:
            batch = {f"batch.{name}": str(QUICK_BATCH) for name in streams(resolve(self.task, self.variant, {}))}
            quick = QUICK | batch | workload(self.task).QUICK
        return resolve(self.task, self.variant, quick | dict(self.overrides))


def streams(config: ConfigDict) -> list[str]:
    """The fields of `config.batch` that are batch sizes of a step's streams."""
    return [name for name in config.batch if name not in ("accumulation", "evaluation")]
