"""A mark for tests that compile for TPUs, which take libtpu: `make test` installs it."""

import importlib.util
import os

import pytest

from benchmarks import tpu

needs_libtpu = pytest.mark.skipif(
    not (tpu.BESIDE / "libtpu").is_dir()
    and "TPU_LIBRARY_PATH" not in os.environ
    and importlib.util.find_spec("libtpu") is None,
    reason="libtpu is not installed: make tpu-compile",
)
