"""Broken examples of a large set: listed, counted and skipped, up to a limit."""

from aloe.errors import InputError

DEFAULT_LIMIT = 0.01


class Skipped:
    """Collects what is missing or broken among the `total` examples called `what`.

    At most `limit * total` of them, rounded down, may be broken; the official sets have a few such files. So in a set
    of fewer than 100 examples the default, 1 %, allows none: there a broken file is a mistake to fix.
    """

    def __init__(self, what: str, total: int, limit: float = DEFAULT_LIMIT) -> None:
        self.what = what
        self.total = total
        self.allowed = int(limit * total)
        self.problems: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.problems)

    def add(self, index: int, problem: object) -> None:
        """Records what is wrong with example `index`."""
        self.problems[index] = str(problem)

    @property
    def too_many(self) -> bool:
        return len(self) > self.allowed

    def summary(self, shown: int = 5) -> str:
        """How many are broken, the limit, and the first few problems, one per line; empty if nothing is broken."""
        if not self.problems:
            return ""
        lines = [f"{len(self)} of {self.total} {self.what} are missing or broken; at most {self.allowed} may be:"]
        lines += [f"  {problem}" for problem in list(self.problems.values())[:shown]]
        if len(self) > shown:
            lines.append(f"  and {len(self) - shown} more")
        return "\n".join(lines)

    def stop_if_too_many(self) -> None:
        """Raises:
        InputError: more examples are broken than the limit allows; the message lists the first few.
        """
        if self.too_many:
            raise InputError(self.summary())
