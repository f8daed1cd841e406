"""The run queue's state: one SQLite file that is consistent after any crash.

    <folder>/queue.sqlite                    the runs, and every attempt at one
    <folder>/attempts/<run>/<number>/        what an attempt left: log.txt, specification, end (attempt.py)
    <folder>/driver.lock                     who drives the queue (driver.py)

Every change is one transaction, which is on disk before it takes effect. A run is "running" from before its process is
started until its end is recorded, so whoever finds it in that state after a crash must find out what became of that
attempt.

The folder must be on a disk of the machine that drives the queue, as SQLite's journal does not work over a network.
"""

import contextlib
import dataclasses
import difflib
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.errors import ClusterError
from cluster.outcomes import Budgets, Ended, Ending, Spent, pause_before_retry

WAITING, RUNNING = "waiting", "running"  # states of a run; the others are the Endings
RELEASED = "released"  # the ending of an attempt for which nothing is charged
FILE = "queue.sqlite"
_VERSION = 1
_LOCK_TIMEOUT_S = 60.0
_SCHEMA = """
CREATE TABLE runs (
  position INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  entry TEXT NOT NULL,
  config TEXT NOT NULL,
  kinds TEXT NOT NULL,
  priority INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'waiting',
  preemptions INTEGER NOT NULL DEFAULT 0,
  failures INTEGER NOT NULL DEFAULT 0,
  not_before REAL NOT NULL DEFAULT 0,
  cancelling INTEGER NOT NULL DEFAULT 0,
  message TEXT NOT NULL DEFAULT '',
  value TEXT
);
CREATE TABLE attempts (
  run TEXT NOT NULL REFERENCES runs (name),
  number INTEGER NOT NULL,
  place TEXT NOT NULL,
  kind TEXT NOT NULL,
  started REAL NOT NULL,
  ended REAL,
  ending TEXT,
  message TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (run, number)
);
"""


@dataclasses.dataclass(frozen=True)
class Request:
    """A run to be queued: `entry`, a module:function, with a JSON config, on a place of one of `kinds`."""

    name: str
    entry: str
    config: Mapping[str, Any]
    kinds: Sequence[str]
    priority: int = 0


@dataclasses.dataclass(frozen=True)
class Run:
    """A run as recorded in the queue; `state` is "waiting", "running", or the Ending that ended it for good."""

    name: str
    position: int
    priority: int
    kinds: tuple[str, ...]
    state: str
    spent: Spent
    not_before: float
    cancelling: bool
    message: str


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One attempt at a run; while it runs, `ended` and `ending` are None. `ending` is an Ending or "released"."""

    run: str
    number: int
    place: str
    kind: str
    started: float
    ended: float | None
    ending: str | None
    message: str


class Ledger:
    """The queue of a folder; must be closed. Several processes may have it open at once.

    Raises:
      ClusterError: there is no queue and `create` is False, or the file is not a queue, or not of this version.
    """

    def __init__(self, folder: Path, *, create: bool = True) -> None:
        self.folder = folder
        path = folder / FILE
        if not create and not path.exists():
            raise ClusterError(f"{path}: no such file, so {folder} holds no queue; name the --queue of one.")
        folder.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, timeout=_LOCK_TIMEOUT_S, isolation_level=None)
        try:
            self._prepare(path)
        except sqlite3.DatabaseError as error:
            self.close()
            raise ClusterError(f"{path}: {error}; restore the file, or name another --queue.") from error
        except ClusterError:
            self.close()
            raise

    def _prepare(self, path: Path) -> None:
        (mode,) = self._database.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise ClusterError(f"{path}: SQLite cannot keep its journal there; name a --queue on a local disk.")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("PRAGMA foreign_keys = ON")
        with self._transaction():
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                raise ClusterError(
                    f"{path}: a queue of version {version}, and this is {_VERSION}; name another --queue."
                )

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise

    def attempt_folder(self, name: str, number: int) -> Path:
        return self.folder / "attempts" / name / str(number)

    def add(self, requests: Sequence[Request]) -> list[str]:
        """Queues the runs that are not queued yet, all or none; updates kinds and priority of those that are.

        Returns:
          Names of the newly queued runs.

        Raises:
          ClusterError: a name is not a valid folder name or occurs twice; or a run is already queued with another
            entry or configuration.
        """
        names = [request.name for request in requests]
        for name, times in Counter(names).items():
            if not re.fullmatch(r"\w[\w.=+-]*", name):
                raise ClusterError(f"run {name!r}: a name has letters, digits and . _ = + - alone.")
            if times > 1:
                raise ClusterError(f"run {name}: it is asked for {times} times.")
        with self._transaction():
            there = {run.name for run in self.runs()}
            for request in requests:
                if request.name in there:
                    self._refuse_another(request)
                self._database.execute(
                    "INSERT INTO runs (name, entry, config, kinds, priority) VALUES (?, ?, ?, ?, ?) "
                    "ON CONFLICT (name) DO UPDATE SET kinds = excluded.kinds, priority = excluded.priority",
                    (
                        request.name,
                        request.entry,
                        json.dumps(dict(request.config)),
                        json.dumps(list(request.kinds)),
                        request.priority,
                    ),
                )
        return [name for name in names if name not in there]

    def _refuse_another(self, request: Request) -> None:
        entry, config = self.request(request.name)
        here = json.loads(json.dumps(dict(request.config)))
        differences = _differences({"entry": entry, "config": config}, {"entry": request.entry, "config": here})
        if differences:
            raise ClusterError(
                f"run {request.name}: {self.folder / FILE} has it with other settings: {differences}. "
                "Take those, or name another --queue."
            )

    def runs(self, *states: str) -> list[Run]:
        """The runs in these states, or all if none are given, ordered by position."""
        return self._runs(f"WHERE state IN ({', '.join('?' * len(states))})" if states else "", states)

    def run(self, name: str) -> Run:
        """The run of that name.

        Raises:
          ClusterError: there is none.
        """
        found = self._runs("WHERE name = ?", (name,))
        if not found:
            near = difflib.get_close_matches(name, (run.name for run in self.runs()), 1)
            hint = f"; did you mean {near[0]}?" if near else "; python launch/runs.py list names those there are."
            raise ClusterError(f"{self.folder / FILE}: no run is called {name!r}{hint}")
        return found[0]

    def _runs(self, where: str, parameters: Sequence[str]) -> list[Run]:
        rows = self._database.execute(
            "SELECT name, position, priority, kinds, state, preemptions, failures, not_before, cancelling, message "
            f"FROM runs {where} ORDER BY position",
            parameters,
        )
        return [
            Run(name, position, priority, tuple(json.loads(kinds)), state, Spent(*spent), after, bool(cancel), message)
            for name, position, priority, kinds, state, *spent, after, cancel, message in rows
        ]

    def request(self, name: str) -> tuple[str, dict[str, Any]]:
        """Entry and config of a run."""
        entry, config = self._database.execute("SELECT entry, config FROM runs WHERE name = ?", (name,)).fetchone()
        return entry, json.loads(config)

    def value(self, name: str) -> Any:
        """What the run's program returned, if the run succeeded, else None."""
        (value,) = self._database.execute("SELECT value FROM runs WHERE name = ?", (name,)).fetchone()
        return None if value is None else json.loads(value)

    def attempts(self, name: str) -> list[Attempt]:
        """The attempts at a run, first to last."""
        rows = self._database.execute(
            "SELECT run, number, place, kind, started, ended, ending, message "
            "FROM attempts WHERE run = ? ORDER BY number",
            (name,),
        )
        return [Attempt(*row) for row in rows]

    def begin(self, name: str, place: str, kind: str, now: float) -> int | None:
        """Marks a waiting run as running; returns the attempt's number, or None if the run is no longer waiting."""
        with self._transaction():
            changed = self._database.execute(
                "UPDATE runs SET state = ?, message = '' WHERE name = ? AND state = ?", (RUNNING, name, WAITING)
            ).rowcount
            if not changed:
                return None
            (last,) = self._database.execute(
                "SELECT coalesce(max(number), 0) FROM attempts WHERE run = ?", (name,)
            ).fetchone()
            self._database.execute(
                "INSERT INTO attempts (run, number, place, kind, started) VALUES (?, ?, ?, ?, ?)",
                (name, last + 1, place, kind, now),
            )
            return int(last) + 1

    def end(self, name: str, number: int, ended: Ended, budgets: Budgets, now: float) -> Run:
        """Records how an attempt ended, charges for it, and puts the run back in line or ends it; returns the run.

        A run being cancelled ends as cancelled, however its attempt ended, unless that ended the run for good anyway.
        """
        with self._transaction():
            run = self.run(name)
            spent = run.spent.charged(ended.ending)
            pause = pause_before_retry(ended, spent, budgets)
            if pause is not None and run.cancelling:
                ended, spent, pause = Ended(Ending.CANCELLED), run.spent, None
            state = ended.ending if pause is None else WAITING
            self._end_attempt(name, number, ended.ending, ended.message, now)
            value = json.dumps(ended.value) if ended.ending == Ending.SUCCEEDED else None
            self._database.execute(
                "UPDATE runs SET state = ?, preemptions = ?, failures = ?, not_before = ?, cancelling = 0, "
                "message = ?, value = ? WHERE name = ?",
                (state, spent.preemptions, spent.failures, now + (pause or 0.0), ended.message, value, name),
            )
            return self.run(name)

    def release(self, name: str, number: int, message: str, now: float) -> Run:
        """Puts a running run back in line (or cancels it) uncharged: it was the driver that left. Returns the run."""
        with self._transaction():
            cancelling = self.run(name).cancelling
            state, how = (Ending.CANCELLED, Ending.CANCELLED) if cancelling else (WAITING, RELEASED)
            self._end_attempt(name, number, how, message, now)
            self._database.execute("UPDATE runs SET state = ?, cancelling = 0 WHERE name = ?", (state, name))
            return self.run(name)

    def cancel(self, name: str) -> str:
        """Cancels a run: a waiting one at once; a running one is stopped by the driver. Returns its state afterwards.

        Raises:
          ClusterError: there is no such run, or it has ended.
        """
        with self._transaction():
            state = self.run(name).state
            if state == WAITING:
                state = Ending.CANCELLED
                self._database.execute("UPDATE runs SET state = ?, message = '' WHERE name = ?", (state, name))
            elif state == RUNNING:
                self._database.execute("UPDATE runs SET cancelling = 1 WHERE name = ?", (name,))
            else:
                raise ClusterError(f"run {name}: it has ended ({state}), so there is nothing to cancel.")
        return state

    def retry(self, name: str) -> None:
        """Puts a run that ended without success back in line, with fresh budgets.

        Raises:
          ClusterError: there is no such run, it has succeeded, or it has not ended.
        """
        with self._transaction():
            state = self.run(name).state
            if state in (WAITING, RUNNING, Ending.SUCCEEDED):
                raise ClusterError(f"run {name}: it is {state}, and only what ended without success is retried.")
            self._database.execute(
                "UPDATE runs SET state = ?, preemptions = 0, failures = 0, not_before = 0, message = '' WHERE name = ?",
                (WAITING, name),
            )

    def _end_attempt(self, name: str, number: int, ending: str, message: str, now: float) -> None:
        self._database.execute(
            "UPDATE attempts SET ended = ?, ending = ?, message = ? WHERE run = ? AND number = ? AND ended IS NULL",
            (now, ending, message, name, number),
        )


def _differences(there: Mapping[str, Any], here: Mapping[str, Any], prefix: str = "") -> str:
    """The fields in which two configurations differ, as text."""
    found = []
    for key in sorted(there.keys() | here.keys()):
        one, other = there.get(key), here.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found.append(_differences(one, other, f"{prefix}{key}."))
        elif one != other:
            found.append(f"{prefix}{key} is {one!r} there and {other!r} here")
    return "; ".join(filter(None, found))
