"""Rows with equal cases are compared; a change counts only if the ranges do not overlap."""

import json

import pytest

from aloe.errors import InputError
from benchmarks import compare, results
from benchmarks.readme import ROOT
from benchmarks.results import Row
from benchmarks.timing import Timing


def document(**medians):
    rows = [Row({"case": name}, Timing(ms, ms * 0.9, ms * 1.1, 5), flops=1e9) for name, ms in medians.items()]
    return results.document({"step": [*rows, Row({"case": "untimed"}, figures={"state_bytes": 2**20})]}, quick=True)


def test_faster_slower_and_within_noise():
    text = compare.compared(document(a=0.010, b=0.010, c=0.010, d=1.0), document(a=0.005, b=0.020, c=0.0105, e=1.0))
    rows = {line.split()[1]: line.split()[2:] for line in text.splitlines() if line.startswith("step")}
    assert rows == {
        "a": ["10", "5", "2.00", "faster"],
        "b": ["10", "20", "0.50", "slower"],
        "c": ["10", "10.5", "0.95"],
    }


def test_rows_that_one_file_alone_has_are_named():
    lines = compare.compared(document(a=1.0, b=1.0), document(a=1.0, c=1.0)).splitlines()
    assert lines[-2:] == ["only before: step: b", "only after: step: c"]
    assert not [line for line in compare.compared(document(a=1.0), document(a=1.0)).splitlines() if "only" in line]


def test_what_tells_the_files_apart_is_said():
    before, after = document(a=1.0), document(a=1.0)
    before["versions"]["jax"], before["commit"] = "0.1", "abc"
    assert compare.compared(before, after).splitlines()[0].startswith("commit: abc → ")
    assert "jax: 0.1 → " in compare.compared(before, after)


def test_files_without_a_common_case():
    before, after = document(a=1.0), document(b=1.0)
    before["tables"]["step"].pop()  # the case without a time, which all documents have
    with pytest.raises(InputError, match="no case in common"):
        compare.compared(before, after)


def test_sizes_devices_and_packages_that_differ_are_said():
    before, after = document(a=1.0), document(a=1.0)
    before["quick"], after["device"]["count"] = False, 2
    before["versions"], after["versions"] = {"jax": "0.1", "torch": "2.11.0"}, {"jax": "0.1", "libtpu": "0.0.30"}
    assert compare.compared(before, after).splitlines()[:4] == [
        f"devices: {before['device']['count']} → 2",
        "sizes: whole → quick",
        "torch: 2.11.0 → not installed",
        "libtpu: not installed → 0.0.30",
    ]


def test_equal_files_without_a_time_have_cases_in_common_all_the_same():
    untimed = results.document({"step": [Row({"case": "untimed"}, figures={"state_bytes": 1})]}, quick=True)
    with pytest.raises(InputError, match="rows of equal cases, 1, none has a time in both"):
        compare.compared(untimed, untimed)


DEVICE = {"kind": "abacus", "count": 1}


def with_row(row):
    return {"device": DEVICE, "versions": {"jax": "0.1"}, "tables": {"step": [row]}}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        ("{", "not valid JSON at line 1"),
        ("[]", "stands where an object"),
        ("{}", "field 'tables' is missing"),
        ({"tables": {}, "device": {}}, "field 'versions' is missing"),
        ({"tables": {}, "device": {}, "versions": {}}, "device: field 'kind' is missing"),
        ({"tables": {}, "device": DEVICE, "versions": {}}, "versions: field 'jax' is missing"),
        ({"tables": [], "device": DEVICE, "versions": {}}, r"field 'tables' is \[\]; it must be an object"),
        (with_row(1) | {"tables": {"step": {}}}, "field 'step' is {}; it must be a list"),
        (with_row(5), "table 'step', row 0: 5 stands where an object"),
        (with_row({"figures": {}}), "table 'step', row 0: field 'case' is missing"),
        (with_row({"case": {"sizes": [1]}, "figures": {}}), r"field 'case.sizes' is \[1\], which is no figure"),
        (with_row({"case": {}, "figures": {"a_bytes": {}}}), "field 'figures.a_bytes' is {}, which is no figure"),
        (with_row({"case": {}, "figures": {}, "seconds": {"min": 1}}), "'seconds.median' is None, which is no number"),
    ],
)
def test_a_file_that_is_no_results_file(tmp_path, content, told):
    path = tmp_path / "results.json"
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError, match=rf"results\.json: .*{told}.*python -m benchmarks") as error:
        compare.read(path)
    assert str(error.value).count("results.json") == 1


def test_every_committed_file_is_one():
    files = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
    assert files
    assert all(compare.read(file)["tables"] for file in files)


def test_a_saved_file_is_read_as_it_was(tmp_path):
    saved = document(a=0.25)
    results.save(tmp_path / "results.json", saved)
    assert compare.read(tmp_path / "results.json") == json.loads(json.dumps(saved))


def test_rates_are_those_of_the_median():
    row = Row({}, Timing(0.5, 0.4, 0.6, 5), flops=1e12).to_json(results.Peak(4e12, "here"))
    assert (row["flops_per_second"], row["share_of_peak"]) == (2e12, 0.5)
    assert Row({}, Timing(0.5, 0.4, 0.6, 5), flops=1e12).to_json(None)["share_of_peak"] is None


def test_table_gives_units_and_leaves_no_cell_out():
    rows = [Row({"a": 1}, Timing(0.5, 0.4, 0.6, 5)), Row({"b": "x"}, figures={"temporary_bytes": 3 * 2**20})]
    lines = results.table([row.to_json(None) for row in rows], "github").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["a", "ms", "min–max", "b", "temporary MiB"]
    assert cells[2:] == [["1", "500", "400–600", "–", "–"], ["–", "–", "–", "x", "3"]]
