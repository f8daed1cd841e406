"""What a run of the benchmarks is asked for."""

import dataclasses
from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict

from aloe.config import resolve

# `--quick`: the same programs, small enough for the tests.
QUICK = {
    "model.layers": "2",
    "model.heads": "2",
    "model.frames": "3",
    "model.hidden": "32",
    "model.head_hidden": "16",
    "batch.descriptive": "8",
    "batch.choice": "8",
    "batch.unsupervised": "16",
}


@dataclasses.dataclass(frozen=True)
class Options:
    """Flags of the command.

    Attributes:
      quick: small sizes, to see that all works; the times mean nothing.
      trace: whether to add a table of time by class of operations.
      paths: of attention (`benchmarks.paths`); empty for all.
      lengths: tokens T of the attention benchmark; empty for all.
      variant: of the task's configurations.
      overrides: fields of the configuration by path.
    """

    quick: bool = False
    trace: bool = False
    paths: Sequence[str] = ()
    lengths: Sequence[int] = ()
    variant: str = "paper"
    overrides: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def repeats(self) -> int:
        return 2 if self.quick else 7

    def config(self) -> ConfigDict:
        """CLEVRER's configuration.

        Raises:
          InputError: an override names no field, or gives it no value of its type.
        """
        return resolve("clevrer", self.variant, (QUICK if self.quick else {}) | dict(self.overrides))
