import time

import pytest

from benchmarks.timing import measure, summary


def test_short_calls_are_timed_several_at_a_time_and_waited_for_once():
    calls, waits = [], []

    def call():
        time.sleep(0.001)
        calls.append(len(calls))
        return calls[-1]

    timing = measure(call, repeats=3, least_seconds=0.01, wait=waits.append)
    assert 2 <= timing.calls <= 10
    assert len(calls) == 2 + 3 * timing.calls
    assert waits == [0, 1, *(1 + timing.calls * number for number in (1, 2, 3))]
    assert 0.001 <= timing.min <= timing.median <= timing.max < 0.1


def test_one_call_at_a_time():
    assert measure(lambda: None, repeats=2, least_seconds=0.0, wait=lambda _: None).calls == 1


def test_summary():
    timing = summary([3.0, 1.0, 2.0, 9.0, 2.5])
    assert (timing.median, timing.min, timing.max, timing.repeats) == (2.5, 1.0, 9.0, 5)


def test_a_failing_call_is_not_timed():
    with pytest.raises(ZeroDivisionError):
        measure(lambda: 1 / 0)
