"""Runs entry points in the test's own process."""

import os
import signal
import sys

import pytest

from launch import flags


@pytest.fixture
def call(monkeypatch, tmp_path, capsys):
    """Runs an entry point in this process, in an empty folder; gives its exit status and what it printed."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ALOE_")]:
        monkeypatch.delenv(name)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def call(program, *argv, task="--task=clevrer"):
        monkeypatch.setattr(sys, "argv", [program.__file__, *filter(None, [task]), *map(str, argv)])
        with pytest.raises(SystemExit) as left:
            flags.run(program.main)
        return left.value.code, *capsys.readouterr()

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)
