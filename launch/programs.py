"""What the hosts of a slice run: a program of Aloe, tied to the machinery of the process that it runs in."""

import os
from collections.abc import Mapping
from typing import Any

import jax
from etils import epath

from aloe.training import loop
from cluster import watchdog


def train(config: Mapping[str, Any]) -> dict[str, Any]:
    """`loop.run`, under the eyes of the process's watchdog. What it compiles is kept for the next start of the run."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(epath.Path(config["workdir"]) / "compiled"))
    return loop.run(config, mark=watchdog.mark)
