import os
import signal

import pytest

from cluster.errors import ClusterError
from cluster.host import Host
from cluster.process import exit_status_of, message_of


@pytest.fixture
def sigterms():
    received = []
    previous = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    yield received
    signal.signal(signal.SIGTERM, previous)


def test_a_stop_that_comes_too_early_waits_until_jax_listens(sigterms):
    host = Host(0, 1)
    host.stop()
    assert sigterms == []
    host._listen(True)
    assert sigterms == [signal.SIGTERM]


def test_a_stop_that_comes_too_late_does_no_harm(sigterms):
    host = Host(0, 1)
    host._listen(True)
    host._listen(False)
    host.stop()
    assert sigterms == []


def test_leftovers_of_an_earlier_multislice_start_are_cleared(monkeypatch):
    monkeypatch.setenv("MEGASCALE_COORDINATOR_ADDRESS", "10.0.0.1:8080")
    Host(0, 1)
    assert "MEGASCALE_COORDINATOR_ADDRESS" not in os.environ


@pytest.mark.parametrize(
    ("gpus", "asked", "platforms"),
    [("0,1", None, "cuda,cpu"), ("0,1", "cpu", "cpu"), ("", None, None), (None, None, None)],
)
def test_a_host_that_has_gpus_computes_on_them_or_fails(monkeypatch, gpus, asked, platforms):
    for name, value in (("CUDA_VISIBLE_DEVICES", gpus), ("JAX_PLATFORMS", asked)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    Host(0, 1)
    assert os.environ.get("JAX_PLATFORMS") == platforms


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ValueError("bad"), 1, "ValueError: bad"),
        (ClusterError("no such slice"), 2, "no such slice"),
        (SystemExit(7), 7, "SystemExit: 7"),
        (SystemExit("why"), 1, "SystemExit: why"),
    ],
)
def test_an_error_carries_its_exit_status(error, status, message):
    assert (exit_status_of(error), message_of(error)) == (status, message)
