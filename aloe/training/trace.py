"""A profile of some steps, for TensorBoard or Perfetto."""

import shutil
import tempfile

from clu import profiler
from etils import epath

from aloe.paths import files_below, in_bucket


class Trace:
    """Traces what this host does between `start` and `stop` into a folder; into a bucket via this host's disk."""

    def __init__(self, folder: epath.Path) -> None:
        self._folder = folder
        self._local = folder
        self.running = False

    def start(self) -> None:
        if in_bucket(self._folder):  # XLA, which writes the trace, cannot write there
            self._local = epath.Path(tempfile.mkdtemp())
        profiler.start(str(self._local))
        self.running = True

    def stop(self) -> None:
        """Ends the trace and writes it; does nothing if none is running."""
        if not self.running:
            return
        profiler.stop()
        self.running = False
        if self._local != self._folder:
            for file in files_below(self._local):
                (self._folder / file.relative_to(self._local)).write_bytes(file.read_bytes())
            shutil.rmtree(self._local)
