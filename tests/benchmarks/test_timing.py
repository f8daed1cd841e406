import types

import pytest

from benchmarks import timing
from benchmarks.timing import measure, summary


def test_short_calls_are_timed_several_at_a_time_and_waited_for_once(monkeypatch):
    calls, waits = [], []
    monkeypatch.setattr(timing, "time", types.SimpleNamespace(perf_counter=lambda: len(calls) / 128))

    def call():
        calls.append(len(calls))
        return calls[-1]

    timed = measure(call, repeats=3, least_seconds=5 / 128, wait=waits.append)
    assert timed.calls == 5
    assert len(calls) == 2 + 3 * 5
    assert waits == [0, 1, 6, 11, 16]
    assert timed.min == timed.median == timed.max == 1 / 128


def test_one_call_at_a_time():
    assert measure(lambda: None, repeats=2, least_seconds=0.0, wait=lambda _: None).calls == 1


def test_summary():
    timed = summary([3.0, 1.0, 2.0, 9.0, 2.5])
    assert (timed.median, timed.min, timed.max, timed.repeats) == (2.5, 1.0, 9.0, 5)


def test_a_failing_call_is_not_timed():
    with pytest.raises(ZeroDivisionError):
        measure(lambda: 1 / 0)
