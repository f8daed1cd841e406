"""Waiting for other processes and threads."""

import time


def wait_for(reached, seconds):
    """Returns once `reached()` is true; fails if it is not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)
