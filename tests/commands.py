"""The commands of launch/ as a user runs them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def launch(program: str, *flags: str, cwd: Path | None = None) -> str:
    """Runs launch/`program` on the CPU, checks that it succeeds, and returns what it printed.

    In a process of its own, because the tests' own process compiles everything without optimisation.
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
