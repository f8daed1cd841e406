"""What a run has logged is there, whatever happens to its process."""

import subprocess
import sys

from etils import epath
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from aloe.training import workdir
from aloe.training.log import read_metrics

LOGS_AND_DIES = """
import os, sys
import numpy as np
from etils import epath
from aloe.training.log import RunLog

log = RunLog(epath.Path(sys.argv[1]), int(sys.argv[2]), write=True)
first, last = int(sys.argv[2]) + 1, int(sys.argv[3])
log.pictures(first, {"masks": np.full((4, 5, 3), first, np.uint8)})
for step in range(first, last + 1):
    log.metrics(step, {"loss": 10.0 * step})
os._exit(1)
"""


def test_a_killed_run_has_all_that_it_logged_and_one_that_goes_on_hides_what_it_takes_again(tmp_path):
    for first, last in ((0, 7), (5, 9)):
        done = subprocess.run([sys.executable, "-c", LOGS_AND_DIES, str(tmp_path), str(first), str(last)])
        assert done.returncode == 1
    assert [line["step"] for line in read_metrics(epath.Path(tmp_path) / workdir.METRICS)] == list(range(1, 10))
    events = EventAccumulator(str(tmp_path / workdir.TENSORBOARD)).Reload()
    assert [(scalar.step, scalar.value) for scalar in events.Scalars("loss")] == [(n, 10.0 * n) for n in range(1, 10)]
    assert [(image.step, image.width, image.height) for image in events.Images("masks")] == [(1, 5, 4), (6, 5, 4)]
