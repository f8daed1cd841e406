"""Every second of a run is accounted for, by cause, over all restarts."""

import pytest

from aloe.errors import InputError
from aloe.training import clock, goodput
from aloe.training.log import RunLog


def host(probe=0.001, **seconds):
    return dict.fromkeys(clock.ACTIVITIES, 0.0) | seconds | {"probe": probe}


def start(time, step, hosts=1):
    return {"event": "start", "time": time, "step": step, "hosts": hosts, "devices": 2}


def times(time, step, *hosts):
    return {"event": "times", "time": time, "step": step, "hosts": list(hosts)}


# The first attempt begins at 100 and is last heard from at 130, at step 20; the second begins at 145, from step 15.
EVENTS = [
    start(104, 0),
    times(118, 10, host(init=3.0, restore=1.0, compile=5.0, input=1.0, step=8.0)),
    times(130, 20, host(input=1.0, step=10.0, save=1.0)),
    start(151, 15),
    times(165, 30, host(init=4.0, restore=2.0, compile=5.0, step=9.0)),
    times(170, 30, host(evaluation=5.0)),
    {"event": "end", "time": 170.0, "step": 30},
]


def test_seconds_are_charged_to_their_causes_and_add_up_to_all_that_passed():
    result = goodput.goodput(EVENTS)
    assert result.steps == 8.0 + 5.0 + 9.0
    assert result.badput == {
        "init": 7.0,
        "restore": 3.0,
        "compile": 10.0,
        "input": 2.0,
        "host": 0.0,
        "save": 1.0,
        "commit": 0.0,
        "evaluation": 5.0,
        "lost": 5.0,
        "down": 151 - 6.0 - 130,
    }
    assert result.total == 170 - 100
    assert (result.attempts, result.taken) == (2, 30)


def test_a_finished_run_that_is_looked_at_again_was_not_down_meanwhile():
    again = [*EVENTS, start(1000, 30), times(1005, 30, host(init=4.0, evaluation=1.0))]
    assert goodput.goodput(again).badput["down"] == goodput.goodput(EVENTS).badput["down"]


def test_steps_to_which_a_later_attempt_went_back_are_lost_too():
    seconds = [host(step=40.0), host(step=5.0), host(step=40.0)]
    events = [
        start(0, 0),
        times(40, 40, seconds[0]),
        start(50, 40),
        times(55, 45, seconds[1]),
        start(60, 20),
        times(100, 60, seconds[2]),
    ]
    result = goodput.goodput(events)
    assert (result.steps, result.badput["lost"], result.taken) == (60.0, 25.0, 60)


def test_what_the_steps_of_host_0_wait_for_is_charged_to_what_another_host_is_at():
    rows = [host(input=0.5, step=100.0), host(input=90.5, host=1.0, step=9.0), host(host=2.0, step=98.0)]
    result = goodput.goodput([start(0, 0, 3), times(100, 10, *rows)])
    assert (result.steps, result.badput["input"], result.badput["host"]) == (8.0, 90.5, 2.0)


def test_hosts_that_are_slow_are_named_with_what_they_are_slow_at():
    quick, reads, computes = (
        host(input=0.1, step=10.0),
        host(input=4.0, host=4.0, step=2.1),
        host(input=0.1, step=10.0, probe=5e-3),
    )
    speeds = goodput.host_speeds(
        [start(0, 0, 4), *(times(10 * n, 10 * n, quick, reads, computes, quick) for n in (1, 2))]
    )
    assert [speed.straggles for speed in speeds] == ["", "input and host", "device", ""]
    assert speeds[1].step == pytest.approx([1.01, 1.01])
    assert speeds[1].own["input"] == pytest.approx([0.4, 0.4])


def test_a_little_more_of_very_little_is_no_straggling():
    rows = [host(input=0.001, step=10.0)] * 3 + [host(input=0.01, step=10.0)]
    assert {speed.straggles for speed in goodput.host_speeds([start(0, 0, 4), times(10, 10, *rows)])} == {""}


def test_only_intervals_on_as_many_hosts_as_last_are_compared():
    speeds = goodput.host_speeds(
        [start(0, 0, 2), times(10, 10, *[host(step=10.0)] * 2), start(20, 10), times(30, 20, host(step=40.0))]
    )
    assert [speed.step for speed in speeds] == [[4.0]]


def test_the_report_has_the_figures_and_a_run_without_times_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"events.jsonl: no times yet"):
        goodput.report(tmp_path)
    log = RunLog(tmp_path, 0, write=True)
    log.event("start", step=0, hosts=1, devices=2)
    log.event("times", step=10, hosts=[host(compile=2.0, step=6.0)])
    log.close()
    text = goodput.report(tmp_path)
    assert "10 steps in 8 s, 1 start" in text
    assert "75.0 %" in text
    assert "600.0 ± 0.0" in text


def test_an_event_that_a_crash_cut_short_does_not_take_the_next_one_along(tmp_path):
    (tmp_path / "events.jsonl").write_text('{"event": "start", "time": 1.0, "step": 0}\n{"event": "sa')
    log = RunLog(tmp_path, 0, write=True)
    log.event("start", step=4)
    log.close()
    assert [event["step"] for event in goodput.read_events(tmp_path)] == [0, 4]
