"""Measures the training system on this machine's devices.

    python -m benchmarks [attention|step|input|perception|checkpoint|scaling|all] [--quick] [--out DIR]
    python -m benchmarks --help
    python -m benchmarks compare BEFORE.json AFTER.json
    python -m benchmarks show RESULTS.json
    python -m benchmarks readme                 fills the tables of the README files

Prints a table per part, and writes DIR/PART-DEVICE.json with device, versions and commit.
"""

import os

# A PyTorch peer shares the device, most of whose memory JAX would preallocate. Read when JAX is first used.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.92")

import sys

from benchmarks.command import main

if __name__ == "__main__":
    sys.exit(main())
