"""What XLA compiles."""

import jax
import pytest


@pytest.fixture
def compiled():
    """Grows by an item for every program that XLA compiles during the test."""
    seen = []

    def listen(event, seconds, **_):
        if event.endswith("backend_compile_duration"):
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)
