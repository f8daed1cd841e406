import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aloe.training.summary import FORMATS, summarize, table

RESULTS = [
    ({"variant": "paper"}, {"a": 1.0, "b": 10.0}),
    ({"variant": "mlp"}, {"a": 5.0, "b": 50.0}),
    ({"variant": "paper"}, {"a": 2.0, "b": 20.0}),
    ({"variant": "paper"}, {"a": 6.0, "b": 60.0}),
]


@given(st.lists(st.floats(0, 100), min_size=2, max_size=9), st.lists(st.floats(0, 100), min_size=1, max_size=9))
def test_mean_and_deviation_are_numpys_of_each_group(first, second):
    results = [({"v": "x"}, {"s": value}) for value in first] + [({"v": "y"}, {"s": value}) for value in second]
    one, other = summarize(results, "validation")
    assert (one.labels, one.n, one.score, one.split) == ({"v": "x"}, len(first), "s", "validation")
    assert one.mean == pytest.approx(np.mean(first), abs=1e-9)
    assert one.std == pytest.approx(np.std(first, ddof=1), abs=1e-9)
    assert (other.labels, other.n) == ({"v": "y"}, len(second))
    assert (other.std is None) == (len(second) == 1)


def test_markdown_has_a_row_a_group():
    lines = table(summarize(RESULTS, "validation"), "md").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert rows[0] == ["variant", "split", "n", "a", "b"]
    assert rows[2:] == [
        ["paper", "validation", "3", "3.0 ± 2.6", "30.0 ± 26.5"],
        ["mlp", "validation", "1", "5.0", "50.0"],
    ]


def test_csv_and_json_have_the_same_records_unrounded():
    summaries = summarize(RESULTS, "validation")
    records = json.loads(table(summaries, "json"))
    read = list(csv.DictReader(io.StringIO(table(summaries, "csv"))))
    assert len(records) == len(read) == 4
    for record, row in zip(records, read, strict=True):
        assert list(record) == list(row) == ["variant", "split", "score", "n", "mean", "std"]
        assert float(row["mean"]) == record["mean"]
        assert row["std"] == ("" if record["std"] is None else repr(record["std"]))
    assert records[0]["std"] == pytest.approx(np.std([1, 2, 6], ddof=1))


def test_what_is_no_percentage_has_a_table_of_its_own():
    results = [({"seed": str(seed)}, {"right": 50.0, "diagnosis/l1": 1.25 + seed}) for seed in (0, 1)]
    first, second = table(summarize(results, "validation"), "md").split("\n\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in second.splitlines()]
    assert rows[0] == ["seed", "split", "n", "l1"]
    assert rows[2:] == [["0", "validation", "1", "1.25"], ["1", "validation", "1", "2.25"]]
    assert "l1" not in first
    assert "right" not in second
    assert "diagnosis/l1" in table(summarize(results, "validation"), "csv")


@pytest.mark.parametrize("format", FORMATS)
def test_a_table_of_nothing_is_no_error(format):
    assert table([], format) in ("", "[]")
