"""The queue's state: the allowed transitions, and that a crash leaves all of a change or none of it."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cluster.errors import ClusterError
from cluster.ledger import FILE, RUNNING, WAITING, Ledger, Request
from cluster.outcomes import Budgets, Ended, Ending, Spent

BUDGETS = Budgets(preemptions=2, failures=1, first_pause=10)
PREEMPTED, FAILED = Ended(Ending.PREEMPTED, "gone"), Ended(Ending.FAILED, "died")


def request(name="a", **changes):
    settings = {"entry": "m:f", "config": {"x": 1, "deep": {"y": [2]}}, "kinds": ("device",)}
    return Request(**{"name": name, **settings, **changes})


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "queue") as ledger:
        yield ledger


def test_the_same_command_again_adds_nothing_and_changes_no_state(ledger):
    assert ledger.add([request("a"), request("b")]) == ["a", "b"]
    number = ledger.begin("a", "0", "device", now=5)
    ledger.end("a", number, Ended(Ending.SUCCEEDED, value={"score": 0.5}), BUDGETS, now=6)
    before = ledger.runs()
    assert ledger.add([request("b"), request("a"), request("c")]) == ["c"]
    assert ledger.runs()[:2] == before
    assert ledger.value("a") == {"score": 0.5}
    assert [run.position for run in ledger.runs()] == [1, 2, 3]


def test_a_run_of_another_configuration_is_refused_and_none_of_the_others_is_added(ledger):
    ledger.add([request("a")])
    changed = request("a", config={"x": 1, "deep": {"y": [3]}})
    with pytest.raises(ClusterError, match=r"run a: .*other settings: config.deep.y is \[2\] there and \[3\] here"):
        ledger.add([request("b"), changed])
    with pytest.raises(ClusterError, match="entry is 'm:f' there and 'm:g' here"):
        ledger.add([request("a", entry="m:g")])
    assert [run.name for run in ledger.runs()] == ["a"]


def test_priority_and_kinds_are_those_of_the_last_command(ledger):
    ledger.add([request("a")])
    ledger.add([request("a", kinds=("v2-8", "v2-32"), priority=3)])
    (run,) = ledger.runs()
    assert (run.kinds, run.priority) == (("v2-8", "v2-32"), 3)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "-a"])
def test_names_are_names_of_folders(ledger, name):
    with pytest.raises(ClusterError, match="a name has letters, digits"):
        ledger.add([request(name)])


def test_a_name_twice_is_refused(ledger):
    with pytest.raises(ClusterError, match="run a: it is asked for 2 times"):
        ledger.add([request("a"), request("a")])


def test_a_run_begins_once(ledger):
    ledger.add([request()])
    assert ledger.begin("a", "0", "device", now=1) == 1
    assert ledger.begin("a", "1", "device", now=1) is None
    assert [attempt.place for attempt in ledger.attempts("a")] == ["0"]


def test_preemptions_and_failures_are_charged_apart_and_to_the_last(ledger):
    ledger.add([request()])
    states = []
    for now, ended in enumerate([PREEMPTED, FAILED, PREEMPTED, PREEMPTED]):
        run = ledger.end("a", ledger.begin("a", "0", "device", now), ended, BUDGETS, now)
        states.append((run.state, run.spent, run.not_before))
    assert states == [
        (WAITING, Spent(1, 0), 0),
        (WAITING, Spent(1, 1), 1 + BUDGETS.first_pause),
        (WAITING, Spent(2, 1), 2),
        (Ending.PREEMPTED, Spent(3, 1), 3),
    ]
    assert [attempt.ending for attempt in ledger.attempts("a")] == ["preempted", "failed", "preempted", "preempted"]


def test_what_is_released_is_charged_to_nobody(ledger):
    ledger.add([request()])
    run = ledger.release("a", ledger.begin("a", "0", "device", 1), "the driver left", 2)
    assert (run.state, run.spent, run.not_before) == (WAITING, Spent(), 0)
    assert ledger.attempts("a")[0].ending == "released"


def test_cancel_and_retry(ledger):
    ledger.add([request()])
    assert ledger.cancel("a") == Ending.CANCELLED
    with pytest.raises(ClusterError, match=r"it has ended \(cancelled\)"):
        ledger.cancel("a")
    ledger.retry("a")
    number = ledger.begin("a", "0", "device", 1)
    with pytest.raises(ClusterError, match="it is running"):
        ledger.retry("a")
    assert ledger.cancel("a") == RUNNING
    assert ledger.end("a", number, PREEMPTED, BUDGETS, 2).state == Ending.CANCELLED
    assert ledger.run("a").spent == Spent()
    ledger.retry("a")
    ledger.end("a", ledger.begin("a", "0", "device", 3), Ended(Ending.FAILED, "x", final=True), BUDGETS, 4)
    ledger.retry("a")
    run = ledger.run("a")
    assert (run.state, run.spent, run.not_before, run.cancelling) == (WAITING, Spent(), 0, False)
    ledger.end("a", ledger.begin("a", "0", "device", 5), Ended(Ending.SUCCEEDED, value=1), BUDGETS, 6)
    with pytest.raises(ClusterError, match="it is succeeded, and only"):
        ledger.retry("a")


@pytest.mark.parametrize("ended", [Ended(Ending.SUCCEEDED, value=1), Ended(Ending.FAILED, "bad", final=True)])
def test_a_cancelled_run_that_ends_for_good_first_keeps_its_end(ledger, ended):
    ledger.add([request()])
    number = ledger.begin("a", "0", "device", 1)
    ledger.cancel("a")
    assert ledger.end("a", number, ended, BUDGETS, 2).state == ended.ending


def test_a_cancelled_run_whose_driver_left_stays_cancelled(ledger):
    ledger.add([request()])
    number = ledger.begin("a", "0", "device", 1)
    ledger.cancel("a")
    assert ledger.release("a", number, "", 2).state == Ending.CANCELLED


def test_an_unknown_run_is_answered_with_the_nearest(ledger):
    ledger.add([request("clevrer-paper-s0")])
    with pytest.raises(ClusterError, match=r"no run is called 'clevrer-papr-s0'; did you mean clevrer-paper-s0\?"):
        ledger.run("clevrer-papr-s0")


def test_a_folder_without_a_queue_is_refused_and_left_alone(tmp_path):
    with pytest.raises(ClusterError, match=r"nowhere/queue.sqlite: no such file.*name the --queue of one"):
        Ledger(tmp_path / "nowhere", create=False)
    assert not list(tmp_path.iterdir())


def test_another_file_or_version_is_refused(tmp_path):
    (tmp_path / FILE).write_text("not a database at all, but long enough to be looked at " * 20)
    with pytest.raises(ClusterError, match=r"queue.sqlite: file is not a database; restore the file"):
        Ledger(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    with sqlite3.connect(other / FILE) as database:
        database.execute("PRAGMA user_version = 7")
    with pytest.raises(ClusterError, match="a queue of version 7"):
        Ledger(other)


KILLED_IN_TRANSACTION = """
    import os, signal, sys
    from pathlib import Path
    from cluster.ledger import Ledger
    from cluster.outcomes import Budgets, Ended, Ending

    ledger = Ledger(Path(sys.argv[1]))
    statements = 0

    def count(statement):
        global statements
        statements += not statement.startswith("SELECT")
        if statements == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

    ledger._database.set_trace_callback(count)
    ledger.end("a", 1, Ended(Ending.PREEMPTED, "gone"), Budgets(), 5)
    print("statements", statements)
"""


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_a_kill_in_the_middle_of_a_change_leaves_nothing_of_it(tmp_path, after):
    """Its statements are begin, attempt, run and commit; the kill comes right before statement number `after`."""
    folder = tmp_path / "queue"
    with Ledger(folder) as ledger:
        ledger.add([request()])
        ledger.begin("a", "0", "device", 1)
    program = [sys.executable, "-c", textwrap.dedent(KILLED_IN_TRANSACTION), str(folder), str(after)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    killed = subprocess.run(program, env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    with Ledger(folder) as ledger:
        assert ledger.run("a").state == RUNNING
        assert ledger.run("a").spent == Spent()
        assert [attempt.ended for attempt in ledger.attempts("a")] == [None]
        assert ledger.end("a", 1, PREEMPTED, BUDGETS, 5).spent == Spent(1, 0)
