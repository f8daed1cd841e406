"""Compiling several programs in parallel, and into a fresh compilation cache."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import jax
from jax.experimental.compilation_cache import compilation_cache

from aloe.progress_bar import progress_bar

SETTINGS = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


def compile_together(programs: Sequence[jax.stages.Lowered]) -> None:
    """Compiles programs in parallel into the cache in use, from which each is then available almost at once.

    One that does not fit the device is skipped; it will report that when it is compiled again.
    """

    def compiled(program: jax.stages.Lowered) -> None:
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            program.compile()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in progress_bar(pool.map(compiled, programs), "compiling", len(programs), unit="program"):
            pass


@contextlib.contextmanager
def fresh_compilation_cache() -> Iterator[None]:
    """A context in which JAX caches all that it compiles on disk, in a cache that starts empty and is deleted after."""
    before = {name: getattr(jax.config, name) for name in SETTINGS}
    with tempfile.TemporaryDirectory() as folder:
        for name, value in zip(SETTINGS, (folder, 0.0, -1), strict=True):
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        try:
            yield
        finally:
            for name, value in before.items():
                jax.config.update(name, value)
            compilation_cache.reset_cache()
