"""Ctrl-C and SIGTERM as something to look at, in place of an end in the middle."""

import signal
import threading
import types
from typing import Any


class Signals:
    """Context manager that collects SIGINT and SIGTERM; to be entered after ray.init, which sets its own handlers.

    In another thread than the main one it collects nothing, for Python's signals are the main thread's.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _receive(self, number: int, _: types.FrameType | None) -> None:
        self.received.append(number)
