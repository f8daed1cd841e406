"""The commands of launch/ as a user gives them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def launch(program: str, *flags: str, cwd: Path | None = None) -> str:
    """Runs launch/`program` to its good end, on the CPU; what it printed.

    In a process of its own, for the tests' compile everything without optimisation.
    """
    done = subprocess.run(
        [sys.executable, str(ROOT / "launch" / program), *flags],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
