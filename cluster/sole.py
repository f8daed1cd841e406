"""A file that one process at a time holds, and that records which one does."""

import contextlib
import datetime
import errno
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cluster.errors import ClusterError

_POLL_S = 0.5
_LOOK_S = 0.3  # a mere check holds the lock for a moment, and a new holder needs a moment to write its name
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}  # from a file system without locks


@contextlib.contextmanager
def sole_holder(
    path: Path,
    who: str,
    refusal: Callable[[str], ClusterError],
    *,
    wait_s: float = 0.0,
    say: Callable[[str], None] = lambda text: print(text, flush=True),
) -> Iterator[None]:
    """Context manager: makes this process the file's only holder. The file is released however the process ends.

    On a file system without locks nobody is kept out, which is reported.

    Args:
      path: path of the file, which is created, and not removed.
      who: how this process is described to others.
      refusal: makes the error, given a description of the holder; it names what is taken, and the remedy.
      wait_s: how long to wait for a holder to end.
      say: called with a message, once, that names the holder if there is one to wait for.

    Raises:
      ClusterError: from `refusal`; another process still holds the file.
    """
    with path.open("a+") as file:
        deadline = time.monotonic() + wait_s
        said = False
        while not _locked_soon(file.fileno(), path, say):
            file.seek(0)
            holder = file.read().strip()
            if time.monotonic() >= deadline:
                raise refusal(holder)
            if not said:
                say(f"{path.parent}: taken by {holder}; waiting up to {wait_s:.0f} s for it to end")
                said = True
            time.sleep(_POLL_S)
        since = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {since}: {who}")
        file.flush()
        yield


def is_held(path: Path) -> bool:
    """Whether a process holds the file."""
    try:
        with path.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return False


def _locked_soon(descriptor: int, path: Path, say: Callable[[str], None]) -> bool:
    """`_locked`, retried for a moment."""
    until = time.monotonic() + _LOOK_S
    while not (locked := _locked(descriptor, path, say)) and time.monotonic() < until:
        time.sleep(_LOOK_S / 10)
    return locked


def _locked(descriptor: int, path: Path, say: Callable[[str], None]) -> bool:
    """Whether an open file could be locked, or its file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        say(f"{path}: its file system has no locks ({error.strerror}), so nothing keeps a second process out")
    return True
