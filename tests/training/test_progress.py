"""Speed and means of a report, with a clock that the test sets."""

import numpy as np
import pytest
from clu.metrics import Average

from aloe.training import progress


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def report(clock):
    return progress.Progress({"a": 1.0, "b": 0.5}, first_step=10, last_step=100, examples_per_step=32, show=True)


def parts(a, b):
    return {
        name: Average(total=np.float32(total), count=np.float32(count)) for name, (total, count) in (("a", a), ("b", b))
    }


def test_means_are_over_items_not_over_steps(report, clock):
    report.add(parts((6, 2), (1, 1)))
    report.add(parts((0, 1), (9, 4)))
    clock.now += 4
    values = report.report(12)
    assert (values["a"], values["b"]) == (2.0, 2.0)
    assert values["loss"] == 3.0
    clock.now += 1
    report.add(parts((5, 1), (4, 1)))
    assert report.report(13)["loss"] == 7.0  # of this step alone


def test_speed_and_time_left_leave_evaluations_out(report, clock, capsys):
    report.add(parts((1, 1), (1, 1)))
    clock.now += 10
    clock.now += 1000
    report.show_scores(15, {"score": 50.0}, 1000, ["one slot takes all"])
    clock.now += 10
    values = report.report(20)
    assert values["steps_per_second"] == pytest.approx(10 / 20)
    assert values["examples_per_second"] == pytest.approx(16)
    printed = capsys.readouterr().out
    assert "score 50.0 %" in printed
    assert "step 15/100  alarm: one slot takes all" in printed
    assert "16 examples/s  0:02:40 left" in printed


def test_waiting_for_input_is_a_share_of_the_time_that_passes(report, clock):
    def batches():
        clock.now += 2
        yield "first"
        clock.now += 1
        yield "second"

    reader = batches()
    assert report.wait(reader) == "first"
    clock.now += 3
    assert report.wait(reader) == "second"
    clock.now += 6
    report.add(parts((1, 1), (1, 1)))
    assert report.report(12)["input_share"] == pytest.approx(3 / 12)
    clock.now += 1
    report.add(parts((1, 1), (1, 1)))
    assert report.report(13)["input_share"] == 0
