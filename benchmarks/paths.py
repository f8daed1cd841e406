"""The attention paths that are measured, each a context in which the model and `relative_attention` take it.

Each path is one line here. What runs in its context must be traced there: a function that was jitted earlier keeps the
path that it was traced with.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import jax.numpy as jnp

from aloe import attention
from aloe.attention import relative
from benchmarks import candidates

Path = Callable[[], contextlib.AbstractContextManager]


def _xla(attention_in_xla: Callable[..., Any] = relative.relative_attention) -> Path:
    """Plain XLA on any device, computed by this function."""

    @contextlib.contextmanager
    def taken() -> Iterator[None]:
        with (
            mock.patch.object(attention, "chosen_path", return_value="xla"),
            mock.patch.object(relative, "relative_attention", attention_in_xla),
        ):
            yield

    return taken


CHOSEN, RANK = "chosen", "rank"
CANDIDATES = {"shift": candidates.shift, "angle addition": candidates.angle_addition}  # for the position logits
PATHS: Mapping[str, Path] = {
    CHOSEN: contextlib.nullcontext,  # what `aloe.attention.chosen_path` returns
    RANK: _xla(),
    **{name: _xla(candidates.differentiated(logits)) for name, logits in CANDIDATES.items()},
}
# Candidates on a par with rank: their [T, T] arrays are recomputed for the gradient. Only compiled for TPUs.
PAIRS_AGAIN: Mapping[str, Path] = {
    f"{name}, pairs again": _xla(candidates.recomputed(candidates.differentiated(logits)))
    for name, logits in CANDIDATES.items()
}


def taken(path: str, form: str, size: int, dtype: jnp.dtype, tokens: int, width: int) -> str:
    """Which of `aloe.attention.PATHS` attention takes in the context of a path; see `chosen_path` there."""
    with PATHS[path]():
        return attention.chosen_path(form, size, dtype, tokens, width)


def different(form: str, size: int, dtype: jnp.dtype, tokens: int, width: int) -> list[str]:
    """All paths, except "rank" where it is the chosen one."""
    plain = taken(CHOSEN, form, size, dtype, tokens, width) == "xla"
    return [path for path in PATHS if not (plain and path == RANK)]
