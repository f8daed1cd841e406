"""How long a program takes until it can run: with nothing at hand, and from JAX's compilation cache."""

import tempfile

import jax
from jax.experimental.compilation_cache import compilation_cache

from benchmarks.timing import seconds
from benchmarks.training import Run

SETTINGS = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


def compile_times(run: Run) -> dict[str, float]:
    """Seconds until the step of a run is traced and compiled: without a cache, and with one that has the program."""
    before = {name: getattr(jax.config, name) for name in SETTINGS}
    with tempfile.TemporaryDirectory() as folder:
        for name, value in zip(SETTINGS, (folder, 0.0, -1), strict=True):
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        try:
            times = []
            for _ in range(2):
                jax.clear_caches()
                times.append(seconds(lambda: run.lowered().compile()))
        finally:
            for name, value in before.items():
                jax.config.update(name, value)
            compilation_cache.reset_cache()
    return {"compile_seconds": times[0], "cached_compile_seconds": times[1]}
