"""A plot of runs has a panel for each score, and in it a line for each run and for each control."""

import json

import pytest
from etils import epath
from matplotlib import pyplot

from aloe.training import report, workdir

CONTROLS = ("shuffled", "counts", "counts of train", "majority")  # as many as ACRE has


@pytest.fixture
def folders(tmp_path):
    for name, scores in (("a", ("queries",)), ("b", ("queries", "problems"))):
        (tmp_path / name).mkdir()
        lines = [{"step": step, **{f"validation/{score}": 40 + step for score in scores}} for step in (1, 2)]
        (tmp_path / name / workdir.METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    controls = {control: {"queries": 10.0 * place} for place, control in enumerate(CONTROLS)}
    (tmp_path / "a" / "validation-2.json").write_text(json.dumps({"step": 2, "controls": controls}))
    return [epath.Path(tmp_path / name) for name in "ab"]


def test_every_run_and_every_control_has_a_line_of_its_own(folders, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(pyplot, "close", figures.append)
    report.draw_curves(folders, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    queries, problems = figures[0].axes
    assert (queries.get_title(), problems.get_title()) == ("queries", "problems")
    lines = {line.get_label(): line for line in queries.get_lines()}
    assert lines.keys() == {"a", "b", *CONTROLS}
    assert list(lines["a"].get_ydata()) == [41, 42]
    assert [lines[control].get_ydata()[0] for control in CONTROLS] == [0, 10, 20, 30]
    assert len({str(lines[control].get_linestyle()) + str(lines[control]._dash_pattern) for control in CONTROLS}) == 4
    assert list(problems.get_lines()[-1].get_ydata()) == [41, 42]  # a score that only the second run has
    monkeypatch.undo()
    pyplot.close(figures[0])
