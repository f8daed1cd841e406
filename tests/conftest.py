"""Eight fake devices for every test: small programs, compiled for the CPU; `make gpu` has a GPU's own instead."""

import os

import jax
import pytest
from hypothesis import HealthCheck, settings

# The same examples in every run, however long a loaded machine takes for one.
settings.register_profile("aloe", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("aloe")

PLATFORMS = os.environ.get("ALOE_TEST_PLATFORMS", "cpu")

jax.config.update("jax_platforms", PLATFORMS)
jax.config.update("jax_num_cpu_devices", 8)
if PLATFORMS == "cpu":
    jax.config.update("jax_disable_most_optimizations", True)  # nearly all the time of these tests is compiling
else:
    jax.config.update("jax_default_matmul_precision", "highest")


@pytest.fixture(scope="session")
def server():
    """A bucket of this machine, `gs://fake`; see tests/bucket.py."""
    from tests.bucket import Bucket

    bucket = Bucket()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in bucket.environment().items():
            patch.setenv(name, value)
        yield bucket
    bucket.close()


def pytest_generate_tests(metafunc):
    """Whatever goes to a bucket does so through the fake client, and through gcsfs where that is installed."""
    if "client" in metafunc.fixturenames:
        from tests.bucket import CLIENTS

        metafunc.parametrize("client", CLIENTS)


@pytest.fixture
def bucket(server, client, monkeypatch):
    """The same, empty."""
    from tests.bucket import use_client

    server.objects.clear()
    server.writes.clear()
    server.bytes_in.clear()
    use_client(client, server.url, monkeypatch.setattr)
    return server
