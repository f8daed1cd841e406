"""What the hosts of a slice run: a program of Aloe, tied to the machinery of the process that it runs in."""

from collections.abc import Mapping
from typing import Any

from aloe.training import loop
from cluster import watchdog


def train(config: Mapping[str, Any]) -> dict[str, Any]:
    """`loop.run`, under the eyes of the process's watchdog."""
    return loop.run(config, mark=watchdog.mark)
