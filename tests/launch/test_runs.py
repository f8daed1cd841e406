"""Inspecting and changing a queue, as a user does."""

import re

import pytest

from cluster.driver import sole_driver
from cluster.ledger import RUNNING, Ledger, Request
from cluster.outcomes import Budgets, Ended, Ending, Spent
from launch import runs


@pytest.fixture
def queue(tmp_path):
    """A queue with one run that is waiting, one running, one that failed and one that succeeded."""
    folder = tmp_path / "runs" / "queue"
    with Ledger(folder) as ledger:
        ledger.add([Request(name, "m:f", {"workdir": f"/w/{name}"}, ("v2-8",)) for name in ("w", "r", "f", "s")])
        for name in ("r", "f", "s"):
            number = ledger.begin(name, "a", "v2-8", 1)
            attempt = ledger.attempt_folder(name, number)
            attempt.mkdir(parents=True)
            (attempt / "log.txt").write_text(f"first of {name}\nlast of {name}\n")
        ledger.end("f", 1, Ended(Ending.FAILED, "ValueError: bad", final=True), Budgets(), 5)
        ledger.end("s", 1, Ended(Ending.SUCCEEDED, value=1), Budgets(), 6)
    return folder


def test_list_and_show_and_logs(call, queue):
    status, out, _ = call(runs, "list", task=None)
    assert status == 0
    rows = {line.split()[0]: line for line in out.splitlines()[2:]}
    assert list(rows) == ["w", "r", "f", "s"]
    assert "running" in rows["r"]
    assert "v2-8 a" in rows["r"]
    assert "last of r" in rows["r"]
    assert "ValueError: bad" in rows["f"]
    status, out, _ = call(runs, "show", "f", task=None)
    assert status == 0
    for text in ("f: failed (ValueError: bad)", "m:f, on v2-8", "/w/f", "0 preemptions, 1 failures", "1/log.txt"):
        assert text in out
    status, out, _ = call(runs, "logs", "r", task=None)
    assert (status, out) == (0, "first of r\nlast of r\n")


def test_it_is_said_where_no_driver_is_there(call, queue):
    nobody = (
        "Nothing drives this queue: what waits or ran goes on once the command that filled the queue is given again"
    )
    assert nobody in call(runs, "list", task=None)[2]
    _, out, _ = call(runs, "retry", "f", task=None)
    assert out == "f: waits; it runs once the command that filled the queue is given again\n"
    _, out, _ = call(runs, "cancel", "r", task=None)
    assert out == "r: is cancelled once the command that filled the queue is given again\n"
    with sole_driver(queue):
        assert call(runs, "list", task=None)[2] == ""


def test_cancel_and_retry(call, queue):
    with sole_driver(queue):
        status, out, _ = call(runs, "cancel", "w", "r", task=None)
    assert (status, out.splitlines()) == (0, ["w: cancelled", "r: saves and leaves"])
    assert "cancelling" in call(runs, "list", task=None)[1]
    assert call(runs, "retry", "f", task=None)[0] == 0
    with Ledger(queue) as ledger:
        assert [(run.state, run.cancelling) for run in ledger.runs()] == [
            ("cancelled", False),
            (RUNNING, True),
            ("waiting", False),
            ("succeeded", False),
        ]
        assert ledger.run("f").spent == Spent()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["cancel", "s"], r"run s: it has ended \(succeeded\), so there is nothing to cancel"),
        (["retry", "w"], r"run w: it is waiting, and only"),
        (["retry"], r"retry: name the runs that are meant"),
        (["list", "w"], r"list: takes no names"),
        (["logs", "w"], r"w: it has not been started yet"),
        (["show", "x"], r"no run is called 'x'; python launch/runs.py list"),
        (["list", "--queue=elsewhere"], r"elsewhere/queue.sqlite: no such file"),
        (["lst"], r"invalid choice: 'lst'"),
    ],
)
def test_what_cannot_be_is_refused(call, queue, argv, message):
    status, _, error = call(runs, *argv, task=None)
    assert status == 2
    assert re.search(message, error), error
