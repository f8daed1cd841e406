"""Figures in README files match the results files; links in them resolve."""

import json
import re

import pytest

from aloe.errors import InputError
from benchmarks.readme import ROOT, filled, pages

ROW = {
    "case": {"path": "chosen"},
    "seconds": {"median": 0.1214, "min": 0.12, "max": 0.13},
    "figures": {"all_bytes": 2**20},
}
TEXT = "before\n<!-- figures of step.json, step: path, ms -->\nold\n<!-- end of figures -->\nafter\n"


@pytest.fixture
def root(tmp_path):
    told = {"device": {"kind": "abacus", "count": 1}, "versions": {"jax": "0.1"}}
    (tmp_path / "step.json").write_text(json.dumps({**told, "tables": {"step": [ROW, ROW]}}))
    return tmp_path


def anchors(page):
    """The anchors of a page's headings, as GitHub generates them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_has_the_figures_of_its_results_files_and_its_links_lead_somewhere(page):
    text = page.read_text()
    assert filled(text) == text, "run python -m benchmarks readme"
    for target, _, heading in (link.partition("#") for link in re.findall(r"\]\(([^)]+)\)", text)):
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), target
        assert not heading or heading in anchors(there), f"{target}#{heading}"


def test_there_are_figures_in_the_pages():
    assert sum("<!-- figures of" in page.read_text() for page in pages()) == 3


def test_a_block_is_made_anew_and_the_rest_is_kept(root):
    made = filled(TEXT, root)
    assert "old" not in made
    lines = [line.split() for line in made.splitlines() if "chosen" in line]
    assert lines == [["|", "chosen", "|", "121.4", "|"]] * 2
    assert "MiB" not in made  # a column that was not requested
    assert made.startswith("before\n<!-- figures of step.json")
    assert made.endswith("<!-- end of figures -->\nafter\n")
    assert filled(made, root) == made


def test_several_blocks_are_made_each_by_itself(root):
    made = filled(TEXT + TEXT.replace("path, ms", "ms"), root)
    assert [line.count("|") for line in made.splitlines() if "121.4" in line] == [3, 3, 2, 2]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("step.json", "other.json"), "other.json"),
        ((", step:", ", stop:"), "no table 'stop'; did you mean step"),
        (("path, ms", "path, mss"), "no column 'mss'; did you mean ms"),
    ],
)
def test_what_is_not_there_is_told(root, wrong, message):
    with pytest.raises(InputError, match=message):
        filled(TEXT.replace(*wrong), root)
