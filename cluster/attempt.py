"""One attempt at a run: a process of its own, whose end and output stay in a folder even if other processes die.

    specification.json    what it runs, and where
    log.txt               what it prints
    lock                  held by the process as long as it lives; contains its process id
    end.json              how it ended, written atomically; missing if the process was killed

The process ends with the driver that started it: on the driver's death it gets SIGTERM, on which the run saves and
exits. A later driver tells from the lock whether the process is gone.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.errors import ClusterError, UnavailableError
from cluster.lifeline import end_with
from cluster.outcomes import Ended, Ending, Outcome
from cluster.policy import Place
from cluster.process import run_process
from cluster.slices import slice_named
from cluster.sole import is_held

DEVICE = "device"  # the kind of a place that is a device of this machine; all others are slices
LOG = "log.txt"
_SPECIFICATION, _LOCK, _END = "specification.json", "lock", "end.json"
_ROOT = Path(__file__).resolve().parents[1]
_BUSY_S = 60.0  # how long to wait for a slice that another job has taken in the meantime


class Attempt:
    """The process of an attempt, started here or by an earlier driver."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes] | None = None) -> None:
        self.folder = folder
        self._process = process

    def poll(self) -> Ended | None:
        """How it ended; None while any of its processes is alive."""
        status = self._process.poll() if self._process else None
        if (self._process and status is None) or is_held(self.folder / _LOCK):
            return None
        try:
            end = json.loads((self.folder / _END).read_text())
        except FileNotFoundError:
            how = f"signal {-status}" if status and status < 0 else "killed" if status is None else f"status {status}"
            return Ended(Ending.FAILED, f"its process died ({how})")
        return Ended(**end | {"ending": Ending(end["ending"])})

    def stop(self) -> None:
        """Asks it to save and exit."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it and what it has started on this machine."""
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, FileNotFoundError, ValueError):
            process_id = self._process.pid if self._process else int((self.folder / _LOCK).read_text())
            if self._process is None and not is_held(self.folder / _LOCK):
                return  # it is gone, and its id may now be another process's
            if number == signal.SIGKILL:
                os.killpg(process_id, number)  # it leads its own process group
            elif self._process is None or self._process.poll() is None:
                os.kill(process_id, number)


def start(folder: Path, entry: str, config: Mapping[str, Any], place: Place) -> Attempt:
    """Starts a process that runs `module:function` with `config` at a place; `folder` must not exist yet.

    Call it in a thread that lives as long as the driver: the process ends with that thread.

    Raises:
      OSError: the folder cannot be written, or this machine has no room for another process.
    """
    folder.mkdir(parents=True)
    specification = {"entry": entry, "config": config, "kind": place.kind, "place": place.name}
    (folder / _SPECIFICATION).write_text(json.dumps(specification))
    with (folder / _LOCK).open("w") as lock, (folder / LOG).open("wb") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the child shares the open file, and so keeps the lock when it is closed here
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        process = subprocess.Popen(
            [sys.executable, "-m", "cluster.attempt", str(folder), str(os.getpid()), str(lock.fileno())],
            env=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"} | dict(place.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[lock.fileno()],
            start_new_session=True,  # Ctrl-C in the terminal is for the driver only
        )
    return Attempt(folder, process)


def adopt(folder: Path) -> Attempt:
    """The attempt that an earlier driver started in a folder; it may have ended, or never have begun."""
    return Attempt(folder)


def last_line(folder: Path) -> str:
    """The last line that an attempt has printed, without colour codes, or ""."""
    try:
        with (folder / LOG).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
            lines = re.sub(r"\x1b\[[\d;]*m", "", log.read().decode(errors="replace")).splitlines()
    except FileNotFoundError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def main(folder: Path, parent: int, lock: int) -> None:
    """The process of the attempt."""
    end_with(parent)
    os.set_inheritable(lock, False)  # otherwise processes started here could hold it longer
    os.write(lock, str(os.getpid()).encode())
    specification = json.loads((folder / _SPECIFICATION).read_text())
    run = _on_this_machine if specification["kind"] == DEVICE else _on_slice
    _leave(folder, run(folder=folder, **specification))


def _leave(folder: Path, ended: Ended) -> None:
    """Writes the end to where the driver looks for it."""
    partial = folder / f".{_END}"
    partial.write_text(json.dumps(dataclasses.asdict(ended)))
    os.replace(partial, folder / _END)


def _on_this_machine(folder: Path, entry: str, config: Mapping[str, Any], kind: str, place: str) -> Ended:
    outcome = run_process(
        entry, json.dumps(config), coordinator=_free_address, hung=lambda outcome: _leave(folder, ended_by(outcome))
    )
    if outcome.status == Ending.FAILED:
        print(outcome.message if outcome.exit_status == 2 else outcome.traceback, file=sys.stderr, flush=True)
    return ended_by(outcome)


def _on_slice(folder: Path, entry: str, config: Mapping[str, Any], kind: str, place: str) -> Ended:
    from cluster import gang  # imports Ray, which is not needed for a device of this machine

    try:
        if not gang.connect():
            return Ended(Ending.FAILED, "no Ray cluster was found")
    except ClusterError as error:  # the head has gone since the driver looked
        return Ended(Ending.PREEMPTED, str(error))
    try:
        return ended_by(gang.run(entry, config, slice_named(kind), name=place, wait_s=_BUSY_S))
    except UnavailableError as error:
        return Ended(Ending.PREEMPTED, str(error))
    except ClusterError as error:
        return Ended(Ending.FAILED, str(error), final=True)


def ended_by(outcome: Outcome) -> Ended:
    """What an outcome means for the queue, which counts an attempt that was told to stop as preempted."""
    if outcome.status == Ending.CANCELLED:
        return Ended(Ending.PREEMPTED, outcome.message or "it was told to leave, and did")
    value = outcome.value if outcome.status == Ending.SUCCEEDED else None
    return Ended(outcome.status, outcome.message, final=outcome.program_error, value=value)


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
