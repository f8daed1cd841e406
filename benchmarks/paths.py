"""The paths of attention that are measured, each a context in which the model and `relative_attention` take it.

A path is one line here. What runs in its context must be traced there: a function that was jitted before keeps the
path that it was traced with.
"""

import contextlib
from collections.abc import Callable, Mapping
from unittest import mock

from aloe.attention import relative
from benchmarks import candidates

Path = Callable[[], contextlib.AbstractContextManager]

CHOSEN = "chosen"


def _position_logits_by(candidate: candidates.PositionLogits) -> Path:
    """Plain XLA, with another way to the position logits than the one of `aloe.attention.relative`."""
    return lambda: mock.patch.object(relative, "position_logits", candidate)


PATHS: Mapping[str, Path] = {
    CHOSEN: contextlib.nullcontext,
    "rank": _position_logits_by(relative.position_logits),
    "shift": _position_logits_by(candidates.shift),
    "angle addition": _position_logits_by(candidates.angle_addition),
}
