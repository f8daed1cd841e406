"""The README's tables of figures, made of results files, so that none is copied by hand.

    <!-- figures of benchmarks/results/tpu_v2.json, CLEVRER's step: T, form, estimated ms -->
    …
    <!-- end of figures -->

says which file, which table of it, and which of its columns stand between the two lines.
"""

import re
from collections.abc import Collection
from pathlib import Path

from aloe.errors import InputError, nearest
from benchmarks import compare, results

README = Path(__file__).parent.parent / "README.md"
_BLOCK = re.compile(
    r"(?P<first><!-- figures of (?P<file>\S+), (?P<table>[^:]+): (?P<columns>[^\n]+) -->\n)"
    r".*?(?P<last><!-- end of figures -->)",
    re.DOTALL,
)


def filled(text: str, root: Path = README.parent) -> str:
    """The text with every table of figures made anew.

    Raises:
      InputError: a file, a table of it or a column is not there.
    """

    def made(block: re.Match[str]) -> str:
        tables = compare.read(root / block["file"])["tables"]
        _check("table", block["table"], tables, block["file"])
        columns = block["columns"].split(", ")
        cells = [results.cells(row) for row in tables[block["table"]]]
        for column in columns:
            _check("column", column, sorted(set().union(*cells)), block["file"])
        return f"{block['first']}\n{results.tabulated(cells, columns, 'github')}\n\n{block['last']}"

    return _BLOCK.sub(made, text)


def _check(what: str, name: str, known: Collection[str], file: str) -> None:
    if name not in known:
        raise InputError(f"{README.name}: {file} has no {what} {name!r}{nearest(name, known)}")
