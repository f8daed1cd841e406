"""Ties a process to the one that started it, so that nothing outlives a driver that was killed."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def end_with(parent: int) -> None:
    """Asks the kernel to send SIGTERM to this process when the parent dies; exits if it is already dead.

    To the kernel, the parent is the thread that started this process; that thread should live as long as its process.
    """
    _control(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(1)


def adopt_orphans() -> None:
    """Makes this process the parent of those that its children leave behind (a subreaper)."""
    _control(_PR_SET_CHILD_SUBREAPER, 1)


def _control(option: int, argument: int) -> None:
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")
