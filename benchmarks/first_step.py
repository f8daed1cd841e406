"""How long a fresh process takes to complete its first training step: compiling, and from a compilation cache.

Everything in the process (`python -m benchmarks.first_step`) counts: Python and its imports, the state, the first
batch, tracing, compiling and the step itself. The data already exists, and no checkpoint is read or written.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import jax
from ml_collections import ConfigDict

from benchmarks.paths import PATHS
from benchmarks.training import make_run

_HITS = "/jax/compilation_cache/cache_hits"


def times(config: ConfigDict, path: str) -> dict[str, float]:
    """Figures of two processes that share a cache, initially empty; none, and a line that says why, if one fails.

    Args:
      config: on existing data; its step fits the first device, whose memory is free.
      path: the attention path (`benchmarks.paths`).
    """
    with tempfile.TemporaryDirectory() as cache:
        try:
            (cold, _), (cached, _) = (timed(config, path, cache) for _ in range(2))
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return {}
    return {"first step_seconds": cold, "first step cached_seconds": cached}


def timed(config: ConfigDict, path: str, cache: str) -> tuple[float, int]:
    """Starts a process; returns seconds until its first step is done, and how many programs came from the cache.

    Raises:
      RuntimeError: it failed; the message has the end of its stderr.
    """
    settings = {"JAX_COMPILATION_CACHE_DIR": cache}  # and no other setting, as in launch/programs.py
    if platforms := getattr(jax.config, "jax_platforms", None):
        settings["JAX_PLATFORMS"] = platforms
    argument = json.dumps({"config": config.to_dict(), "path": path})
    with tempfile.TemporaryFile("w+") as said:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.first_step", argument],
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        with process:
            assert process.stdout is not None
            line = process.stdout.readline()
            seconds = time.perf_counter() - started
        if process.returncode or not line:
            said.seek(0)
            raise RuntimeError(f"The process of the first step failed:\n{said.read()[-2000:]}")
    return seconds, int(line)


def take(config: ConfigDict, path: str) -> int:
    """Takes the first step on this process's first device; returns how many programs came from the cache."""
    found: list[str] = []
    jax.monitoring.register_event_listener(lambda event, **_: found.append(event))
    run = make_run(config, jax.devices()[:1])
    state, batch = run.fresh_state(), run.batch()
    with PATHS[path]():
        compiled = run.lowered().compile()
    jax.block_until_ready(compiled(state, batch))
    return found.count(_HITS)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(take(ConfigDict(given["config"]), given["path"]), flush=True)
