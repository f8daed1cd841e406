"""Tables of figures in README files, generated from results files, so that none is copied by hand.

    <!-- figures of benchmarks/results/tpu_v2.json, CLEVRER's step: T, form, estimated ms -->
    …
    <!-- end of figures -->

names the results file, the table in it, and the columns that go between the two lines.
"""

import re
from collections.abc import Collection
from pathlib import Path

from aloe.errors import InputError, nearest
from benchmarks import compare, results

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(
    r"(?P<first><!-- figures of (?P<file>\S+), (?P<table>[^:]+): (?P<columns>[^\n]+) -->\n)"
    r".*?(?P<last><!-- end of figures -->)",
    re.DOTALL,
)


def pages() -> list[Path]:
    """The README files of the project."""
    folders = ("aloe", "benchmarks", "cluster", "launch", "tests")
    return [ROOT / "README.md", *sorted(page for folder in folders for page in (ROOT / folder).rglob("README.md"))]


def filled(text: str, root: Path = ROOT, name: str = "README.md") -> str:
    """The text of the page `name` with every table of figures regenerated, from files below `root`.

    Raises:
      InputError: a file, a table in it or a column is missing.
    """

    def check(what: str, asked: str, known: Collection[str], file: str) -> None:
        if asked not in known:
            raise InputError(f"{name}: {file} has no {what} {asked!r}{nearest(asked, known)}")

    def made(block: re.Match[str]) -> str:
        tables = compare.read(root / block["file"])["tables"]
        check("table", block["table"], tables, block["file"])
        columns = block["columns"].split(", ")
        cells = [results.cells(row) for row in tables[block["table"]]]
        for column in columns:
            check("column", column, sorted(set().union(*cells)), block["file"])
        return f"{block['first']}\n{results.tabulated(cells, columns, 'github')}\n\n{block['last']}"

    return _BLOCK.sub(made, text)
