"""The eight faults that every test run tries; the others are in test_more.py and test_head.py: `make faults`."""

import numpy as np
import pytest

from aloe.training import workdir
from tests.faults.conftest import POD, STEPS, V2_8, V2_32, same_bits

pytestmark = pytest.mark.slow


def test_1_rank_0_is_killed(undisturbed, training, capfd):
    outcome = training.ends("SIGKILL", rank=0)
    assert outcome.status == "succeeded", outcome
    assert training.starts() == [0, 20]
    assert training.back_in_time(undisturbed)
    assert "host 0 failed: its process died" in capfd.readouterr().err
    assert training.each_step_once()
    same_bits(training, undisturbed)


def test_2_a_rank_stops_answering(undisturbed, training, capfd):
    outcome = training.ends("SIGSTOP", rank=2)
    assert outcome.status == "succeeded", outcome
    assert training.starts() == [0, 20]
    assert training.back_in_time(undisturbed)
    assert "host 2 hung: its process has not answered for" in capfd.readouterr().err
    same_bits(training, undisturbed)


def test_3_a_machine_is_lost_and_replaced(pod, undisturbed, training, capfd):
    def strike():
        pod.lose(POD, 3)
        pod.replace(POD, 3)

    outcome = training.ends_although(strike, rank=3)
    assert outcome.status == "succeeded", outcome
    assert training.starts() == [0, 20]
    assert "preempted: the machine of host 3 has gone" in capfd.readouterr().err
    assert training.back_in_time(undisturbed)
    same_bits(training, undisturbed)


def test_4_sigterm_reaches_one_host_while_it_saves(undisturbed, training, capfd):
    """The driver does not know of it; all hosts save at the same step, and the run resumes from there."""
    outcome = training.ends("SIGTERM while saving", rank=1, step=20)
    assert outcome.status == "succeeded", outcome
    stopped = [event["step"] for event in training.events("stop")]
    assert training.starts() == [0, *stopped]
    assert 20 < stopped[0] < STEPS
    assert training.back_in_time(undisturbed)
    assert "preempted: it was told to leave, and did" in capfd.readouterr().err
    same_bits(training, undisturbed)


def test_5_a_rank_is_killed_while_it_saves(undisturbed, training):
    """The checkpoint is complete, if the rank had written its share before it was killed, or absent."""
    outcome = training.ends("SIGKILL while saving", rank=1, step=20)
    assert outcome.status == "succeeded", outcome
    assert training.starts() in ([0, 10], [0, 20])
    assert training.back_in_time(undisturbed)
    same_bits(training, undisturbed)


def test_6_the_newest_checkpoint_is_truncated(undisturbed, training):
    def break_checkpoint():
        newest = max((training.folder / workdir.CHECKPOINTS).iterdir(), key=lambda path: int(path.name))
        for path in newest.rglob("*"):
            if path.is_file() and path.parent.name == "d":
                path.write_bytes(path.read_bytes()[:50])

    assert training.ends("exception", rank=0, step=25).status == "failed"
    break_checkpoint()
    outcome = training.ends()
    assert outcome.status == "succeeded", outcome
    assert training.starts() == [0, 10]
    same_bits(training, undisturbed)


def test_7_an_exception_is_not_retried(training, capfd):
    outcome = training.ends("exception", rank=3, once=False)
    assert (outcome.status, outcome.rank, outcome.exit_status) == ("failed", 3, 1)
    assert outcome.program_error
    assert outcome.message == "ValueError: the program is wrong"
    assert training.starts() == [0]
    assert int(training.state().step) == 20


def test_8_the_slice_is_gone_for_good_and_a_smaller_one_is_free(pod, undisturbed, training):
    """It resumes there with the same batches, which each device processes in parts; only rounding differs."""
    pod.add(V2_8)
    outcome = training.ends_although(lambda: pod.lose(POD), kinds=(V2_32, V2_8))
    assert outcome.status == "succeeded", outcome
    assert training.starts() == [0, 20]
    assert training.back_in_time(undisturbed)
    assert [(event["devices"], event["accumulation"]) for event in training.events("start")] == [(8, 1), (2, 4)]
    one, other = training.state(), undisturbed.state()
    np.testing.assert_equal(int(one.step), STEPS)
    for path in ("weights", "blocks"):
        np.testing.assert_allclose(one.params[path]["kernel"], other.params[path]["kernel"], rtol=1e-4, atol=1e-5)
