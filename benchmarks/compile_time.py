"""How long a program takes until it can run: with nothing at hand, and from JAX's compilation cache."""

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
    """Compiles programs side by side into the cache that is in use, from which each is then ready in an instant.

    One that does not fit the device is passed over; it will say so when it is compiled again.
    """

    def compiled(program: jax.stages.Lowered) -> None:
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            program.compile()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in progress_bar(pool.map(compiled, programs), "compiling", len(programs), unit="program"):
            pass


@contextlib.contextmanager
def fresh_compilation_cache() -> Iterator[None]:
    """A context in which JAX keeps all that it compiles on disk, in a cache that is empty at first and gone after."""
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
