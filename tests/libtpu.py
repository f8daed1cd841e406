"""For tests that compile for TPUs: they need libtpu, which `make test` installs, in a process of its own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import tpu

ROOT = Path(__file__).parents[1]

needs_libtpu = pytest.mark.skipif(
    not (tpu.BESIDE / "libtpu").is_dir()
    and "TPU_LIBRARY_PATH" not in os.environ
    and importlib.util.find_spec("libtpu") is None,
    reason="libtpu is not installed: make tpu-compile",
)


def python(*arguments):
    """Runs Python in the repository, without the user's own ALOE_ variables; returns the completed process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ALOE_")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
