"""The first step of a fresh process, and of one that finds all programs in the cache."""

import pytest

from benchmarks import first_step
from benchmarks.options import Options
from benchmarks.paths import CHOSEN
from benchmarks.training import with_data


@pytest.fixture
def config(tmp_path):
    return with_data(Options(quick=True, overrides={"model.layers": "1"}).config(), tmp_path / "data")


@pytest.mark.slow
def test_the_second_process_has_its_programs_from_the_cache_of_the_first(config, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")  # to cache programs as small as these
    cold, none = first_step.timed(config, CHOSEN, str(tmp_path / "cache"))
    cached, some = first_step.timed(config, CHOSEN, str(tmp_path / "cache"))
    assert none == 0
    assert some >= 2, "the initial state and the step, at least"
    assert min(cold, cached) > 1, "Python and JAX are part of it"


def test_a_process_that_fails_is_told_of_and_measures_nothing(config, capsys):
    config.data.root = "/nowhere"
    assert first_step.times(config, CHOSEN) == {}
    assert "/nowhere" in capsys.readouterr().err
