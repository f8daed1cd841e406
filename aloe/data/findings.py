"""What a check of a data folder found: the `check` of every task gives it, launch/check_data.py prints it."""

import dataclasses


@dataclasses.dataclass
class Findings:
    """Counts, problems and notes.

    Attributes:
      counts: split → name of the count → figure; the names come in the order in which they are to be printed.
      problems: what stops a training, each with file, field and mend.
      notes: what does not stop it, but is worth knowing: skipped examples, absent optional files.
    """

    counts: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
