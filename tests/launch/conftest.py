"""Runs entry points in the test's own process."""

import os
import signal
import sys

import pytest

from launch import flags


@pytest.fixture
def call(monkeypatch, tmp_path, capsys):
    """Runs an entry point in this process, in an empty folder; returns its exit status and what it printed."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ALOE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")  # otherwise this process would cache in a run's workdir
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def call(program, *argv, task="--task=clevrer"):
        monkeypatch.setattr(sys, "argv", [program.__file__, *filter(None, [task]), *map(str, argv)])
        with pytest.raises(SystemExit) as left:
            flags.run(program.main)
        return left.value.code, *capsys.readouterr()

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def done(call):
    """Runs an entry point like `call`, requires that it succeeds, and returns what it printed."""

    def done(program, *argv, task):
        status, out, error = call(program, *argv, task=f"--task={task}")
        assert status in (None, 0), error
        return out

    return done
