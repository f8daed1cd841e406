"""Collects Ctrl-C and SIGTERM so that they can be polled, instead of interrupting the program midway."""

import signal
import threading
import types
from typing import Any


class Signals:
    """Context manager that collects SIGINT and SIGTERM; enter it after ray.init, which sets its own handlers.

    Outside the main thread it collects nothing, because Python handles signals in the main thread only.
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
