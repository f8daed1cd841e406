"""How long a step waits for its input, by a clock that advances only when something waits."""

import types

import pytest

from benchmarks import input, timing


class Clock:
    def __init__(self):
        self.now = 100.0

    def wait(self, seconds):
        self.now += seconds


class Supply:
    """Makes one batch every `seconds`, up to `ahead` of them before they are requested."""

    def __init__(self, clock, seconds, ahead=4):
        self.clock, self.seconds, self.ahead = clock, seconds, ahead
        self.ready = [clock.now + seconds * number for number in range(1, ahead + 1)]  # when each is ready

    def fetch(self):
        first = self.ready.pop(0)
        self.clock.wait(max(0.0, first - self.clock.now))
        begins = max(self.ready[-1] if self.ready else first, self.clock.now)  # now there is room for one more
        self.ready.append(begins + self.seconds)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    time = types.SimpleNamespace(perf_counter=lambda: clock.now, sleep=clock.wait)
    monkeypatch.setattr(input, "time", time)
    monkeypatch.setattr(timing, "time", time)
    return clock


def test_a_supply_that_is_faster_than_the_steps_is_not_waited_for(clock):
    fetch = Supply(clock, 0.02, ahead=1).fetch
    run = input.paced(fetch, step=0.06, batches=10)
    assert run.idle == 0
    assert run.whole == pytest.approx(10 * 0.06)
    assert run.rate(512) == pytest.approx(512 / 0.06)
    assert run.fetches[0] == pytest.approx(0.02)


def test_a_supply_that_is_slower_than_the_steps_is_waited_for_all_the_time_that_it_is_slower(clock):
    fetch = Supply(clock, 0.1, ahead=1).fetch
    input.paced(fetch, step=0.06, batches=5)
    run = input.paced(fetch, step=0.06, batches=10)
    assert run.idle / run.whole == pytest.approx(0.4)
    assert run.rate(512) == pytest.approx(512 / 0.1)


def test_what_was_read_ahead_is_not_what_a_supply_gives_as_fast_as_it_goes(clock):
    supply = Supply(clock, 0.1)
    clock.wait(1.0)  # during which it reads ahead
    input.paced(supply.fetch, 0.0, input.warming(videos=16, batch_sizes=[8], workers=0))
    assert input.paced(supply.fetch, 0.0, 10).rate(512) == pytest.approx(512 / 0.1)


def test_first_of_all_every_video_is_read_and_what_is_ahead_is_used_up():
    assert input.warming(10_000, [256, 64, 256], workers=0) == 157
    assert input.warming(16, [8], workers=16) == 2 * 16 * input.READ_AHEAD


def rows(monkeypatch, supply, clock):
    """The part's rows by pace, on a supply whose batches each stand for 512 examples."""

    def batches(streams, **options):
        while True:
            yield supply.fetch()

    monkeypatch.setattr(input, "host_batches", batches)
    monkeypatch.setattr(input, "global_batch", lambda batch, mesh: batch)
    task = types.SimpleNamespace(streams=lambda: {"all": types.SimpleNamespace(batch_size=512)})
    made = types.SimpleNamespace(task=task, mesh=None)
    return {row.case["pace"]: row for row in input.measured(made, videos=10_000, workers=0, quick=False)}


def test_where_a_step_waits_for_nothing_the_rate_is_that_of_its_batches_or_more(monkeypatch, clock):
    found = rows(monkeypatch, Supply(clock, 0.05), clock)
    fastest = found.pop("as fast as it goes").figures
    assert fastest["examples_per_second"] == pytest.approx(512 / 0.05)
    assert "contradicted by" not in fastest
    for row, step in zip(found.values(), input.STEP_SECONDS, strict=True):
        assert row.figures["waiting_share"] == 0
        assert fastest["examples_per_second"] * step >= 512


def test_pages_that_are_slow_the_first_time_slow_the_first_batches_alone(monkeypatch, clock):
    supply = Supply(clock, 0.05)
    fast, fetched = supply.fetch, []

    def fetch():
        if len(fetched) < 10_000 / 512:
            clock.wait(0.2)
        fetched.append(None)
        fast()

    supply.fetch = fetch
    fastest = rows(monkeypatch, supply, clock)["as fast as it goes"].figures
    assert fastest["examples_per_second"] == pytest.approx(512 / 0.05)


def test_a_rate_that_the_paces_contradict_says_so(monkeypatch, clock):
    supply = Supply(clock, 0.05)
    fast, fetched = supply.fetch, []

    def fetch():
        fetched.append(None)
        if len(fetched) < 200:  # slow throughout the full-speed measurement
            clock.wait(0.09)
        fast()

    supply.fetch = fetch
    fastest = rows(monkeypatch, supply, clock)["as fast as it goes"].figures
    assert fastest["contradicted by"] == "a step of 60 ms"


def test_waits_that_the_rate_contradicts_are_said_so_too(monkeypatch, clock):
    supply = Supply(clock, 0.03)
    fast, fetched = supply.fetch, []

    def fetch():
        fetched.append(None)
        if len(fetched) > 180:  # slow only after the full-speed measurement
            clock.wait(0.09)
        fast()

    supply.fetch = fetch
    found = rows(monkeypatch, supply, clock)
    assert found["a step of 60 ms"].figures["waiting_share"] > 0.3
    assert found["as fast as it goes"].figures["contradicted by"] == "a step of 60 ms"
