"""A file of events for TensorBoard, written at once.

tensorboardX's SummaryWriter hands events to a thread that writes them when it comes to it, within two minutes, and its
`flush` does not wait for that thread: a run that is killed would have metrics that TensorBoard never shows.
"""

import time
from typing import Any

import numpy as np
from etils import epath
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import directory_check


class TensorBoard:
    """What is written is there after `flush`, whatever becomes of the process."""

    def __init__(self, folder: epath.Path, *, purge_step: int) -> None:
        """Begins a file in the folder, made if absent; what older ones have of `purge_step` and later is hidden."""
        directory_check(str(folder))
        # Its own name has whole seconds, in one of which a run may be killed and go on.
        self._writer = EventsWriter(str(folder / "events"), f".{time.time_ns()}")
        self._write(purge_step, session_log=SessionLog(status=SessionLog.START))

    def scalar(self, name: str, value: float, step: int) -> None:
        self._write(step, summary=summary.scalar(name, value))

    def image(self, name: str, image_YxXx3: np.ndarray, step: int) -> None:
        """A picture in uint8."""
        self._write(step, summary=summary.image(name, image_YxXx3, dataformats="HWC"))

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

    def _write(self, step: int, **what: Any) -> None:
        self._writer.write_event(Event(wall_time=time.time(), step=step, **what))
