"""Waiting for what other processes and threads do."""

import time


def wait_for(reached, seconds):
    """Returns once `reached()` is true; fails where it is not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)
