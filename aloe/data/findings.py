"""What a check of a data folder found: returned by every task's `check`, printed by launch/check_data.py."""

import dataclasses


@dataclasses.dataclass
class Findings:
    """Counts, problems and notes.

    Attributes:
      counts: split → name of the count → value; the names are in the order in which they are to be printed.
      problems: what prevents training, each with file, field and fix.
      notes: what does not prevent it but is worth knowing: skipped examples, absent optional files.
    """

    counts: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
