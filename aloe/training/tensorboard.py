"""An event file for TensorBoard, written synchronously.

tensorboardX's SummaryWriter hands events to a thread that writes them at some point within two minutes, and its `flush`
does not wait for that thread: a run that is killed would have metrics that TensorBoard never shows.
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
    """What was written is in the file after `flush`, whatever becomes of the process."""

    def __init__(self, folder: epath.Path, *, purge_step: int) -> None:
        """Begins a file in the folder, created if absent; events in older files from `purge_step` on are hidden."""
        directory_check(str(folder))
        # tensorboardX names files by the second, within which a run may be killed and resumed.
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
